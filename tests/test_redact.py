"""Secrets stay out of what is printed and kept."""

import shlex
from pathlib import Path

import pytest

from trainedon.redact import clean, redacted, redacted_address, redacted_argument

SECRETS = ["s3cr3t", "t0ken", "sig9"]
ADDRESSES = [
    "https://me:s3cr3t@host/a.parquet",
    "HTTPS://me:s3cr3t@host/a.parquet?X-Amz-Signature=sig9&b=1",
    "https://t0ken@host/x",
    "https://host/x#token=t0ken",
    "https://host/x?t0ken",
    "s3://key:s3cr3t@bucket/path",
    "sftp://me:p@s3cr3t@host:22/a",
    "ftp://me:p/s3cr3t@host/a",
    "az://container/x?sv=2020&sig=sig9",
    "abfs://container:s3cr3t@account.dfs.core.windows.net/x",
    "hf://t0ken@datasets/owner/name",
    "zip://in.png::https://me:s3cr3t@host/x.zip?sig=sig9",
    "simplecache::https://me:s3cr3t@host/a?sig9",
    "https://me:it's3cr3t@host/a",
    "https://me:pa?s3cr3t@host/a",
    "https://me:123/s3cr3t@host/a",
    "https://host/a;token=t0ken",
    'https://me:a"s3cr3t@host/a',
    "https://me:a s3cr3t@host/a",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_secret_of_an_address_is_left(address):
    for text in (redacted_address(address), redacted_argument(address), redacted_argument(f"--unseen={address}")):
        assert not any(secret in text for secret in SECRETS), text
    command = shlex.join(["trainedon", *map(redacted_argument, ["audit", address, "--out", address])])
    assert not any(secret in command for secret in SECRETS), command


@pytest.mark.parametrize("address", [one for one in ADDRESSES if not set("'\" ") & set(one)])
def test_no_secret_of_an_address_inside_a_text_is_left(address):
    text = redacted(f"cannot reach '{address}' now, nor {address}: HTTP 403")
    assert not any(secret in text for secret in SECRETS), text
    assert text.startswith("cannot reach '") and text.endswith("HTTP 403")


@pytest.mark.parametrize("text", ["https:/me:s3cr3t@host/a", "//me:s3cr3t@host/a", "see s3:/key:s3cr3t@bucket"])
def test_no_secret_of_what_is_nearly_an_address_is_left(text):
    assert "s3cr3t" not in redacted(text) and "s3cr3t" not in redacted_argument(text)


def test_what_is_no_secret_stays():
    for text in ("s3://bucket/what?.png", "s3://bucket/file.npz#12", "abfs://container@account.net/x", "a/b?c@d"):
        assert redacted_argument(text) == text == redacted(text)
    assert redacted_argument("--attacks=loss(t=100)") == "--attacks=loss(t=100)"
    assert redacted_address("s3://host:9000/x") == "s3://host:9000/x"


def test_the_home_folder_is_a_tilde():
    home = str(Path.home())
    assert redacted(f"{home}/pictures and {home}") == "~/pictures and ~"
    assert redacted(f"{home}er/pictures") == f"{home}er/pictures"


def test_clean_shows_what_hides():
    assert clean("a\u202eb\x07c\ud800") == "a\ufffdb\ufffdc\ufffd"
    assert clean("Ünïcode 図 🙂") == "Ünïcode 図 🙂"
