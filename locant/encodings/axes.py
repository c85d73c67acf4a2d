"""Positions on one axis, as text has, and on several: height and width of an image, time besides.

``[rows, time]`` is one axis; ``[rows, time, axes]`` gives every token an id on each axis. What reads several axes takes
``[rows, time]``, too, as the same id on every axis, which is what text has among images. What reads one axis refuses
more than one: there is no telling which it should be (``OnAxis`` says it).
"""

from torch import Tensor


def one_axis(positions: Tensor) -> Tensor:
    """The positions, as they are. Raises ValueError if they have a dimension of axes."""
    if positions.ndim > 2:
        raise ValueError(f"expected positions [rows, time] on one axis, was: {list(positions.shape)}")
    return positions


def on_axes(positions: Tensor, axes: int) -> Tensor:
    """Positions ``[..., time, axes]``; those of one axis, ``[rows, time]`` or ``[time]``, count on every axis.

    Raises ValueError if the positions have another number of axes.
    """
    if positions.ndim < 3:
        return positions[..., None].expand(*positions.shape, axes)
    if positions.shape[-1] != axes:
        raise ValueError(f"expected positions on {axes} axes, [rows, time, {axes}], was: {list(positions.shape)}")
    return positions
