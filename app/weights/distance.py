"""How far two tensors lie apart: sums over blocks, so that memory does not grow with the tensors."""

import math
from dataclasses import dataclass

import numpy as np

from app.checkpoint.weights_diff import TensorDistance
from app.weights.dtypes import Values


@dataclass(slots=True)
class Distance:
    """Sums of what has been seen so far."""

    values: int = 0
    changed: int = 0
    max_absolute: float = 0.0
    max_relative: float = 0.0
    finite: int = 0
    nonzero: int = 0
    left_left: float = 0.0
    right_right: float = 0.0
    left_right: float = 0.0
    difference: float = 0.0
    not_finite: tuple[int, int] = (0, 0)

    def add(self, left: Values, right: Values) -> None:
        """Take in a block of each."""
        self.values += len(left)
        ours, theirs = np.isfinite(left), np.isfinite(right)
        good = ours & theirs
        if not good.all():
            self._add_wild(left, right, good)
            missing = len(left) - int(ours.sum()), len(right) - int(theirs.sum())
            self.not_finite = (self.not_finite[0] + missing[0], self.not_finite[1] + missing[1])
            left, right = left[good], right[good]
        if len(left):
            with np.errstate(over="ignore", invalid="ignore"):
                self._add_finite(left, right)

    def merge(self, other: "Distance") -> None:
        """Take in all of another."""
        self.values += other.values
        self.changed += other.changed
        self.finite += other.finite
        self.nonzero += other.nonzero
        self.max_absolute = max(self.max_absolute, other.max_absolute)
        self.max_relative = max(self.max_relative, other.max_relative)
        self.left_left += other.left_left
        self.right_right += other.right_right
        self.left_right += other.left_right
        self.difference += other.difference
        self.not_finite = (
            self.not_finite[0] + other.not_finite[0],
            self.not_finite[1] + other.not_finite[1],
        )

    def _add_wild(
        self, left: Values, right: Values, good: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    ) -> None:
        """Values that are not finite: equal ones, NaN and NaN too, did not change."""
        ours, theirs = left[~good], right[~good]
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        self.changed += int((~same).sum())

    def _add_finite(self, left: Values, right: Values) -> None:
        difference = right - left
        size = np.abs(difference)
        self.finite += len(left)
        self.changed += int(np.count_nonzero(difference))
        self.max_absolute = max(self.max_absolute, float(size.max()))
        nonzero = left != 0
        self.nonzero += int(np.count_nonzero(nonzero))
        if nonzero.any():
            with np.errstate(divide="ignore"):
                self.max_relative = max(
                    self.max_relative, float((size[nonzero] / np.abs(left[nonzero])).max())
                )
        self.left_left += float(left @ left)
        self.right_right += float(right @ right)
        self.left_right += float(left @ right)
        self.difference += float(difference @ difference)

    def finish(
        self, name: str, right_name: str, shape: tuple[int, ...], dtypes: tuple[str, str]
    ) -> TensorDistance:
        """The figures."""
        left, right, both, apart = self.left_left, self.right_right, self.left_right, self.difference
        # The product of two roots: a product of squares would overflow or vanish long before.
        scale = math.sqrt(left) * math.sqrt(right)
        return TensorDistance(
            name=name,
            right_name=right_name,
            shape=shape,
            dtypes=dtypes,
            values=self.values,
            changed=self.changed,
            max_absolute_change=_finite(self.max_absolute) if self.finite else None,
            max_relative_change=_finite(self.max_relative) if self.nonzero else None,
            relative_change=_finite(math.sqrt(apart) / math.sqrt(left)) if left else None,
            cosine=_cosine(both / scale, equal=not self.changed) if scale else None,
            norm_left=_finite(math.sqrt(left)) if self.finite else None,
            norm_right=_finite(math.sqrt(right)) if self.finite else None,
            not_finite=self.not_finite,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cosine(value: float, *, equal: bool) -> float | None:
    """Rounding may put it a hair beside 1."""
    if not math.isfinite(value):
        return None
    return 1.0 if equal else max(-1.0, min(1.0, value))
