"""How many bytes do the usual formats need for a validation digit?

Mean over the 2,000 validation digits (256 levels), each in a file of its
own; and all of them in one archive. Lossless, strongest settings.
"""

import io
import lzma
import zlib

from PIL import Image

from pixellab import data


def picture_bytes(image, **settings):
    file = io.BytesIO()
    Image.fromarray(image).save(file, **settings)
    return len(file.getvalue())


def measure():
    digits = data.mnist("valid")[0].numpy()
    single = {
        "PNG": lambda x: picture_bytes(x, format="PNG", optimize=True),
        "WebP": lambda x: picture_bytes(x, format="WEBP", lossless=True,
                                        quality=100, method=6),
        "zlib": lambda x: len(zlib.compress(x.tobytes(), 9)),
        # preset 9 sets up 64 MiB for 784 bytes and gains nothing here
        "xz": lambda x: len(lzma.compress(x.tobytes(), preset=1))}
    results = {name: round(sum(map(size, digits)) / len(digits), 2)
               for name, size in single.items()}
    corpus = digits.tobytes()
    results["archive zlib"] = round(
        len(zlib.compress(corpus, 9)) / len(digits), 2)
    results["archive xz"] = round(
        len(lzma.compress(corpus, preset=9)) / len(digits), 2)
    return {"digits": len(digits), "bytes_per_digit": results}
