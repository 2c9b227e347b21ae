"""The `pixelgen` command, also as `python -m pixelgen`."""

import os
import signal


def main() -> None:
    """Run the command line of this process; Ctrl-C ends it without a traceback from the start."""
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if default:  # until `StopSignals` is there, which is imported
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    from pixelgen.cli.app import main as run

    if default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
