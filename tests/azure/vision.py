"""Microsoft's own client of the vision service against a sandbox: vision.py ENDPOINT TOKEN SUBSCRIPTION

The pictures are made here, byte by byte.
"""

import io
import struct
import sys
import zlib

import requests
from azure.cognitiveservices.vision.computervision import ComputerVisionClient
from azure.cognitiveservices.vision.computervision.models import ComputerVisionErrorResponseException
from msrest.authentication import CognitiveServicesCredentials

ENDPOINT, TOKEN, SUBSCRIPTION = sys.argv[1:4]
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/judged"
ACCOUNT = f"{GROUP}/providers/Microsoft.CognitiveServices/accounts/eyes"
FEATURES = ["Tags", "Description", "Color", "ImageType", "Categories"]


def arm(method, path, version, body=None):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    reply = requests.request(method, f"{ENDPOINT}{path}?api-version={version}", json=body, headers=headers)
    assert reply.ok, (path, reply.text)
    return reply.json()


def png(width, height, colour):
    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = (b"\x00" + bytes(colour) * width) * height
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refused(code, client, picture, inner=None, **how):
    try:
        client.analyze_image_in_stream(io.BytesIO(picture), **how)
    except ComputerVisionErrorResponseException as error:
        assert error.error.error.code == code, error.error.error
        assert inner is None or error.error.error.innererror.code == inner, error.error.error.innererror
        return
    raise AssertionError(f"{code}: not refused")


provider = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.CognitiveServices"
arm("POST", provider + "/register", "2022-09-01")
while arm("GET", provider, "2022-09-01")["registrationState"] != "Registered":
    pass
arm("PUT", GROUP, "2022-09-01", {"location": "eastus"})
properties = {"customSubDomainName": "judges-eyes"}
arm("PUT", ACCOUNT, "2023-05-01", {"location": "eastus", "kind": "ComputerVision", "sku": {"name": "S1"}, "properties": properties})
while arm("GET", ACCOUNT, "2023-05-01")["properties"]["provisioningState"] != "Succeeded":
    pass
key = arm("POST", ACCOUNT + "/listKeys", "2023-05-01")["key2"]

for endpoint in (ENDPOINT, ENDPOINT + "/judges-eyes.cognitiveservices.azure.com"):
    client = ComputerVisionClient(endpoint, CognitiveServicesCredentials(key))
    seen = client.analyze_image_in_stream(io.BytesIO(png(120, 80, (40, 150, 50))), visual_features=FEATURES)
    assert (seen.metadata.width, seen.metadata.height, seen.metadata.format) == (120, 80, "Png"), seen.metadata
    assert seen.color.dominant_colors == ["Green"] and seen.color.accent_color == "289632", seen.color
    assert seen.color.is_bw_img is False and seen.image_type.clip_art_type == 3
    assert "green" in [tag.name for tag in seen.tags] and "green" in seen.description.captions[0].text
    assert all(0 <= tag.confidence <= 1 for tag in seen.tags) and seen.request_id

refused("InvalidRequest", client, b"nothing", "InvalidImageFormat")
refused("InvalidRequest", client, png(20, 20, (0, 0, 0)), "InvalidImageSize")
refused("InvalidArgument", client, png(60, 60, (0, 0, 0)), "NotSupportedVisualFeature", visual_features=["Faces"])
refused("401", ComputerVisionClient(ENDPOINT, CognitiveServicesCredentials("0" * 32)), png(60, 60, (0, 0, 0)))
