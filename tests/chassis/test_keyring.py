"""What is encrypted opens in its own place only, and stays readable while master keys come and go."""

import stat
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.keyring import CannotDecrypt, KeyRing, LocalMasterKeys, MasterKeysUnusable

TENANT = uuid4()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "master.keys"


@pytest.fixture
def ring(path: Path) -> KeyRing:
    LocalMasterKeys.rotate(path)
    return KeyRing(LocalMasterKeys.load(path))


async def test_what_was_encrypted_opens(ring: KeyRing, path: Path) -> None:
    ciphertext = await ring.encrypt(TENANT, "note.text", b"attack at dawn")
    assert b"attack" not in ciphertext
    assert await ring.decrypt(TENANT, "note.text", ciphertext) == b"attack at dawn"
    restarted = KeyRing(LocalMasterKeys.load(path))
    assert await restarted.decrypt(TENANT, "note.text", ciphertext) == b"attack at dawn"


async def test_the_same_text_never_looks_the_same(ring: KeyRing) -> None:
    assert await ring.encrypt(TENANT, "a", b"x") != await ring.encrypt(TENANT, "a", b"x")


async def test_a_ciphertext_of_another_tenant_or_field_does_not_open(ring: KeyRing) -> None:
    ciphertext = await ring.encrypt(TENANT, "note.text", b"secret")
    with pytest.raises(CannotDecrypt):
        await ring.decrypt(uuid4(), "note.text", ciphertext)
    with pytest.raises(CannotDecrypt):
        await ring.decrypt(TENANT, "note.title", ciphertext)


async def test_a_ciphertext_changed_at_any_byte_does_not_open(ring: KeyRing) -> None:
    ciphertext = await ring.encrypt(TENANT, "a", b"secret")
    for index in range(len(ciphertext)):
        changed = bytearray(ciphertext)
        changed[index] ^= 1
        with pytest.raises(CannotDecrypt):
            await ring.decrypt(TENANT, "a", bytes(changed))


@given(st.binary(max_size=200))
async def test_no_bytes_at_all_bring_it_down(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    ring = KeyRing(LocalMasterKeys(bytes(32)))
    with pytest.raises(CannotDecrypt):
        await ring.decrypt(TENANT, "a", data)
    with pytest.raises(CannotDecrypt):
        await ring.decrypt(TENANT, "a", b"\x01\x01k\x00\x02" + data)


async def test_after_a_rotation_old_ciphertexts_open_and_new_ones_carry_the_new_key(
    ring: KeyRing, path: Path
) -> None:
    old = await ring.encrypt(TENANT, "a", b"before")
    new_key = LocalMasterKeys.rotate(path)
    rotated = KeyRing(LocalMasterKeys.load(path))
    assert await rotated.decrypt(TENANT, "a", old) == b"before"
    new = await rotated.encrypt(TENANT, "a", b"after")
    assert new_key.encode() in new
    with pytest.raises(CannotDecrypt):
        await ring.decrypt(TENANT, "a", new)


async def test_several_keys_of_a_setting_open_what_each_of_them_encrypted() -> None:
    first, second = ("A" * 43 + "=", "B" * 42 + "A=")
    old = await KeyRing(LocalMasterKeys.parse(first)).encrypt(TENANT, "a", b"text")
    both = KeyRing(LocalMasterKeys.parse(f"{first},{second}"))
    assert await both.decrypt(TENANT, "a", old) == b"text"
    assert await both.renew(TENANT, "a", old) is not None


async def test_renewing_moves_a_ciphertext_under_the_current_key_once(ring: KeyRing, path: Path) -> None:
    old = await ring.encrypt(TENANT, "a", b"text")
    assert await ring.renew(TENANT, "a", old) is None
    new_key = LocalMasterKeys.rotate(path)
    rotated = KeyRing(LocalMasterKeys.load(path))
    renewed = await rotated.renew(TENANT, "a", old)
    assert renewed is not None
    assert new_key.encode() in renewed
    assert await rotated.decrypt(TENANT, "a", renewed) == b"text"
    assert await rotated.renew(TENANT, "a", renewed) is None


def test_the_file_is_made_for_its_owner_only(path: Path) -> None:
    LocalMasterKeys.rotate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "\n", "no base64!", "AAAA", "A" * 43, "A" * 88, "schlüssel"])
def test_a_malformed_file_is_refused_with_a_sentence(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content, "utf-8")
    path.chmod(0o600)
    with pytest.raises(MasterKeysUnusable, match="master keys"):
        LocalMasterKeys.load(path)


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    LocalMasterKeys.rotate(path)
    path.chmod(0o640)
    with pytest.raises(MasterKeysUnusable, match="owner only"):
        LocalMasterKeys.load(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(MasterKeysUnusable, match="cannot be read"):
        LocalMasterKeys.load(path)
