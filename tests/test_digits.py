"""The digits that everybody has never change."""

import numpy as np
import pytest

import effcc
from effcc.sources.digits import Digits

DIGITS = {
    "train": (1257, "fe229b8157f099d9cdbee5117ec8738371f98b02e5e1d68cd7806aff5d45eba8"),
    "val": (180, "0970aa7381637e3ee5a72ed0adf12eb10a89259bbd8ebbce9705712caf8134ac"),
    "test": (360, "daf1c6ea6445d6cec8d61402468487bb927f086632c36c887341acefff6d8e53"),
}


@pytest.fixture(scope="module")
def digits():
    return Digits(effcc.load("cc_pico_4e", source="digits").data)


@pytest.mark.parametrize("name", DIGITS)
def test_digits_splits_never_change(digits, name):
    split = digits.split(name)
    assert (len(split), split.fingerprint) == (DIGITS[name][0], f"sha256:{DIGITS[name][1]}")
    assert split.name == name
    assert set(split.labels.tolist()) == set(range(10))


def test_digits_splits_share_no_image(digits):
    images = [image.tobytes() for name in DIGITS for image in digits.split(name).images]
    assert len(images) == len(set(images)) == 1797


def test_digits_are_rgb_images_of_all_levels(digits):
    image = digits.split("test").pixels(0)
    assert (image.dtype, image.shape) == (np.uint8, (8, 8, 3))
    levels = np.stack(digits.split("train").images)
    assert (levels.min(), levels.max()) == (0, 255)
    assert digits.classes == tuple("0123456789")
