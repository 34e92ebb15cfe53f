"""What viewer.html shows on the screen of a browser."""

import io

import numpy as np
from PIL import Image
from videos import picture_number

RATE = 30  # frames per second of the rendered clips


def settled(page):
    """Wait until both videos stand where they were sent."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2 && !v.seeking)", timeout=10_000
    )


def shown(page):
    """Frame numbers that the pictures on the screen show, once they have had the time to be painted."""
    settled(page)
    # What lies over a waiting video hides it: look at the video alone.
    page.add_style_tag(content=".waits { visibility: hidden } .panel.held video { opacity: 1 }")
    for _ in range(20):
        numbers = tuple(picture_on_screen(page, name) for name in ("a", "b"))
        if numbers == said(page):
            break
        page.wait_for_timeout(50)
    return numbers


def picture_on_screen(page, name):
    image = Image.open(io.BytesIO(page.locator(f"#video-{name}").screenshot(animations="disabled")))
    return picture_number(np.asarray(image.convert("RGB")))


def said(page):
    """Frame numbers below the pictures."""
    return tuple(int(page.locator(f".panel.{name} .frame").inner_text().split()[1]) for name in ("a", "b"))


def map_point(page, alignment, time_a, time_b):
    """Place of two moments on the map, by its margins: 6 top, 8 right, 36 bottom, and at the left what it says."""
    box = page.locator("#map").bounding_box()
    left = float(page.locator("#map").get_attribute("data-left"))
    half_a, half_b = 0.5 / RATE, 0.5 / RATE
    low_a, high_a = alignment.a.times[0] - half_a, alignment.a.times[-1] + half_a
    low_b, high_b = alignment.b.times[0] - half_b, alignment.b.times[-1] + half_b
    x = left + (time_a - low_a) / (high_a - low_a) * (box["width"] - left - 8)
    y = 6 + (high_b - time_b) / (high_b - low_b) * (box["height"] - 6 - 36)
    return box["x"] + x, box["y"] + y
