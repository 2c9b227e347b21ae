"""One module per command: a frozen dataclass of all its options, whose `run` returns a report.

    from pixelgen.jobs.sample import SampleJob

    report = SampleJob(classes=["lion"], n=4, output="lions.png").run()
    print(report.files, report.to_dict())

The command line, `pixelgen batch` and `pixelgen.run_jobs` run the same jobs. What a job shows, or
asks of the program around it, goes through a `JobContext` (`context.py`).

A new command is a module here with its job and report, an entry in `registry.py`, and a function in
`pixelgen.cli` that turns options into the job (and its name in `COMMANDS` of `cli/app.py`). A new
sampling option is a field of `Sampling` in `job.py` and of its group in `cli/option_groups.py`.
"""
