"""Colours of a question's options: safe for colour blindness, and told apart in grey print by their lightness."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb

Color = tuple[float, float, float]

_LUMA = np.array([0.299, 0.587, 0.114])  # lightness of red, green and blue in grey print (ITU-R BT.601)
# Lightness 0-1 of an ordered scale: its first half from the end inwards, its second half from the middle outwards, its middle
_FEW = ((0.62, 0.62), (0.34, 0.34), 0.84)
_WITHOUT_MIDDLE = ((0.36, 0.88), (0.72, 0.18), 0.0)
_WITH_MIDDLE = ((0.36, 0.90), (0.78, 0.18), 0.64)


def option_colors(n_options: int, *, ordered: bool) -> list[Color]:
    """Return a colour per option, neighbours of clearly different lightness, so that grey print tells them apart.

    Ordered options: ColorBrewer's purple-orange, darker towards both ends of the scale, its purple half darker than its orange
    half; a middle is grey. Nominal options: one ramp from dark to light.
    """
    if ordered:
        half, middle = n_options // 2, n_options % 2
        first, second, between = _FEW if half == 1 else _WITH_MIDDLE if middle else _WITHOUT_MIDDLE
        lightness = [*np.linspace(*first, half), *[between] * middle, *np.linspace(*second, half)]
        return [_shade(value, (place > half - 1 + middle) - (place < half)) for place, value in enumerate(lightness)]
    return [to_rgb(mpl.colormaps["cividis"](place)) for place in np.linspace(0, 1, n_options + 2)[1:-1]]


def _shade(lightness: float, side: int) -> Color:
    """Return the colour of a lightness in the orange (-1) or purple (1) half of purple-orange, or grey (0)."""
    if side == 0:
        return lightness, lightness, lightness
    places = np.linspace(0.5, 0.5 + 0.5 * side, 256)
    greys = mpl.colormaps["PuOr"](places)[:, :3] @ _LUMA
    return to_rgb(mpl.colormaps["PuOr"](float(np.interp(lightness, greys[::-1], places[::-1]))))


def text_on(color: Color) -> str:
    """Return black or white, whichever contrasts more with `color` (WCAG relative luminance)."""
    linear = np.where(np.array(color) <= 0.04045, np.array(color) / 12.92, ((np.array(color) + 0.055) / 1.055) ** 2.4)
    return "white" if float(linear @ [0.2126, 0.7152, 0.0722]) < 0.179 else "black"
