"""Pictures for the tests of packing, made without a library of them: JPEG files from three small
ones (24 x 16 pixels), each different by a comment; PNG files of any size and form."""
import base64
import struct
import zlib

JPEGS = {
    "colour": base64.b64decode(
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZG"
        "NywtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09P"
        "T09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAQABgDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAA"
        "AAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAk"
        "M2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKT"
        "lJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QA"
        "HwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdh"
        "cRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hp"
        "anN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk"
        "5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDioNO6fLWjBpvT5a3bbTuny1q22mdPlrjpT9qc+EzK3U56DS+n"
        "y0V2MdisZA25b0oqpzwsJcs5a+jf5I+lo5lJx0P/2Q=="),
    "grey": base64.b64decode(
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZG"
        "NywtQFdBRkxOUlNSMj5aYVpQYEpRUk//wAALCAAQABgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcI"
        "CQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcY"
        "GRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKj"
        "pKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AOKg"
        "07p8taMGm9PlrRg0vp8tXLbTuny1q22mdPlrQjsVjIG3Lelf/9k="),
    "cmyk": base64.b64decode(
        "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2Rjcs"
        "LUBXQUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgAEAAYBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAAB"
        "AgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNi"
        "coIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SV"
        "lpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4E"
        "QwBNAFkASwAAPwDhtL7VyP8AYn+xXnEEPmY4r06ux0vtR/Yn+xWjBpXmY+Wiux0vtR/Yn+xWjB4b8zHyfpRXjul9"
        "q9J/sT/YrO0iHzNvFFdjpfaj+xP9iu50jSvM2/LRXY6X2o/sT/Yq9qmradoEq2v2dry+2hjChChAcffbnBIyQME+"
        "uAQaK//Z"),
}


def jpeg(tag, kind="colour", padding=0):
    """A whole file that no other tag has: the tag, and `padding` bytes, are in its comments."""
    text = str(tag).encode()
    comments = b"".join(b"\xff\xfe" + struct.pack(">H", len(part) + 2) + part
                        for part in [text] + [b"." * min(60000, padding - at)
                                              for at in range(0, padding, 60000)])
    whole = JPEGS[kind]
    return whole[:2] + comments + whole[2:]


def png(height, width, depth=8, colour=2, seed=1):
    """Of `colour` 0 (grey), 2 (RGB), 4 (grey, alpha) or 6 (RGB, alpha), a ramp with some noise."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = width * channels * depth // 8
    lines = b"".join(b"\0" + bytes((x * 3 + y * seed) * (x % 7 + 1) % 251 for x in range(row))
                     for y in range(min(height, 16)))
    lines = (lines * (-(-height // 16)))[:height * (row + 1)]

    def chunk(name, data):
        return (struct.pack(">I", len(data)) + name + data +
                struct.pack(">I", zlib.crc32(name + data)))
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b""))
