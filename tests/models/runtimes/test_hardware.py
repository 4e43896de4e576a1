"""Equal machines have equal fingerprints; what changes speed or exactness changes them."""

from pathlib import Path

import pytest

from models.runtimes import hardware
from models.runtimes.hardware import Hardware, look

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R)  Platinum 8481C CPU @ 2.70GHz
cpu MHz\t\t: {mhz}
flags\t\t: fpu sse4_2 avx f16c fma avx2 avx512f avx512_vnni {flags}

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = """\
processor\t: 0
Features\t: fp asimd asimdhp asimddp i8mm bf16 sve
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


def _look(tmp_path: Path, text: str, *, cores: float = 2.0) -> Hardware:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    return look(cpuinfo=cpuinfo, gpus=tmp_path / "gpus", cores=cores)


def _x86(mhz: str = "2700.000", flags: str = "amx_bf16 amx_tile amx_int8") -> str:
    return X86.format(mhz=mhz, flags=flags)


def test_the_first_processor_is_described_by_what_matters(tmp_path: Path) -> None:
    found = _look(tmp_path, _x86())
    assert found.processor == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"
    assert found.stepping == "GenuineIntel 6 143"
    assert found.instruction_sets == (
        *("sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512_vnni"),
        *("amx_int8", "amx_bf16"),
    )


def test_arm_processors_have_names_and_instruction_sets_too(tmp_path: Path) -> None:
    found = _look(tmp_path, ARM)
    assert found.processor.endswith("0x41/0xd40")
    assert found.instruction_sets == (
        *("neon", "neon_fp16", "neon_dotprod", "neon_i8mm", "neon_bf16", "sve"),
    )


def test_a_machine_that_shows_nothing_is_described_all_the_same(tmp_path: Path) -> None:
    found = look(cpuinfo=tmp_path / "absent", gpus=tmp_path / "absent", cores=1.0)
    assert found.processor
    assert found.instruction_sets == found.gpus == ()
    assert "1 core," in str(found)


def test_a_frequency_that_wanders_changes_no_fingerprint(tmp_path: Path) -> None:
    first, second = (_look(tmp_path, _x86(mhz)).fingerprint for mhz in ("2700.000", "3101.4"))
    assert first == second
    assert len(first) == 16


@pytest.mark.parametrize("change", ["flags", "cores", "gpu", "version"])
def test_what_changes_speed_changes_the_fingerprint(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _look(tmp_path, _x86()).fingerprint
    if change == "gpu":
        card = tmp_path / "gpus" / "0000:01:00.0" / "information"
        card.parent.mkdir(parents=True)
        card.write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 12\n")
    if change == "version":
        monkeypatch.setattr(hardware, "version", lambda package: "999.0")
    after = _look(
        tmp_path,
        _x86(flags="") if change == "flags" else _x86(),
        cores=1.5 if change == "cores" else 2.0,
    )
    assert after.fingerprint != before
    if change == "gpu":
        assert after.gpus == ("NVIDIA H200",)
        assert "NVIDIA H200" in str(after)


def test_this_machine_has_a_fingerprint_and_a_line_for_people() -> None:
    assert hardware.fingerprint() == hardware.fingerprint()
    line = hardware.describe()
    assert "core" in line
    assert "onnxruntime" in line, "the tests run through it"
    assert "\n" not in line
