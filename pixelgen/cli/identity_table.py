"""What `pixelgen evaluate --identity` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pixelgen.evaluation.results import Identity, IdentityScores
    from pixelgen.metrics.bootstrap import Estimate
    from pixelgen.metrics.face_similarity import IdentityMatch


def tell_identity(found: Identity) -> None:
    """What was compared, and a table for each judge and for the pictures themselves."""
    drawn, few = found.sampling, "" if found.part == "all" else f" (part {found.part})"
    chosen = f", the nearest of {drawn.candidates} each" * (drawn.candidates > 1)
    typer.echo(
        f"{drawn.people} people{few}, {drawn.portraits} portraits each from one photo{chosen}, "
        f"compared to {found.gallery} other photos of {found.gallery_people} people; temperature "
        f"{drawn.temperature:g}, top-p {drawn.top_p:g}, guidance {drawn.guidance:g}, seed "
        f"{drawn.seed}"
    )
    rows = {"photo": found.sources, "portraits": found.portraits}
    if found.reconstructed is not None:
        rows = {"photo": found.sources, "reconstructed": found.reconstructed} | rows
    judge = f"{found.judge}, which no training sees"
    _tell_likeness(judge, {name: marks.independent for name, marks in rows.items()})
    own = "the weights' own embedder"
    _tell_likeness(own, {name: marks.embedder for name, marks in rows.items()})
    _tell_pictures(rows)
    typer.echo(
        "KID: of EfficientNet-lite2's features, to at most as many other photos of each person\n"
        f"copies: nearest to their source among {found.photos} photos, and nearer than "
        f"{found.copy_distance:.3f}; so are {_share(found.false_copies)} of the other real photos"
    )


def _tell_likeness(judge: str, rows: dict[str, IdentityMatch]) -> None:
    typer.echo(f"judged by {judge}")
    typer.echo(f"{'':13}  {'AUC':>15}  {'rank-1':>15}  {'diversity':>15}")
    for name, marks in rows.items():
        cells = (_number(marks.auc), _share(marks.rank1), _number(marks.diversity))
        typer.echo(f"{name:>13}  " + "  ".join(f"{cell:>15}" for cell in cells))


def _tell_pictures(rows: dict[str, IdentityScores]) -> None:
    typer.echo("as pictures")
    typer.echo(f"{'':13}  {'KID':>15}  {'copies':>15}  {'diversity':>15}")
    for name, marks in rows.items():
        kid = "–"
        if marks.kid is not None:
            error = marks.kid.standard_error
            kid = f"{marks.kid.mean:.3f}" + ("" if error is None else f" ± {error:.3f}")
        cells = (kid, _share(marks.copies), _number(marks.diversity))
        typer.echo(f"{name:>13}  " + "  ".join(f"{cell:>15}" for cell in cells))


def _number(figure: Estimate | None) -> str:
    if figure is None:
        return "–"
    error = "" if figure.standard_error is None else f" ± {figure.standard_error:.3f}"
    return f"{figure.value:.3f}{error}"


def _share(figure: Estimate) -> str:
    error = "" if figure.standard_error is None else f" ± {figure.standard_error:.1%}"
    return f"{figure.value:.1%}{error}"
