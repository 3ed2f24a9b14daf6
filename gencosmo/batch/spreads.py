"""What a plane says of a prior's means and spreads, for those of its blocks that are computed one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gencosmo.batch.job import turned_prior

if TYPE_CHECKING:
    from gencosmo.batch.job import Job
    from gencosmo.image import Image
    from gencosmo.io.session import Session

__all__ = ["Spreads"]


class Spreads:
    """What the planes of an open file have told of a prior, so that all blocks of a plane are told the same.

    Parameters
    ----------
    session : Session
    job : Job
    """

    def __init__(self, session: Session, job: Job) -> None:
        self._session, self._job = session, job
        self._known: dict[str, Any] = {}

    def told(self, unit: Any, image: Image) -> Image:
        """The image of a unit, with the recalibration of its plane in ``meta`` where it is a block of one."""
        job = self._job
        if "core" not in image.meta or job.op != "inpaint" or not job.recalibrate:
            return image
        name = self._session.name(unit)
        if name not in self._known:
            from gencosmo.tasks.inpaint import recalibration_of

            fullest = self._session.densest(unit)
            part = image if fullest == unit else self._session.read(fullest)
            self._known[name] = recalibration_of(part, turned_prior(job), target=job.target, device=job.device)
        return image.replace(meta=dict(image.meta) | {"recalibration": self._known[name]})
