"""What has been shown of this toolkit, by what, where and when last; and what nobody has run yet."""

from __future__ import annotations

from dataclasses import dataclass

NEVER = "never"


@dataclass(frozen=True)
class Claim:
    """One thing that a user relies on.

    Attributes:
        name: what it is about.
        proof: what shows it, or what comes closest.
        where: machines and versions on which that ran.
        last: the month of the last such run; `never` where it has not run on the real thing.
    """

    name: str
    proof: str
    where: str
    last: str


CPU = "Linux, x86-64 CPU"
GPU = "NVIDIA H200, torch 2.11, Python 3.12"

CLAIMS = (
    Claim("Latte, DDPM, DDIM", "outputs of Vchitect/Latte@b27c24a under seeded weights", CPU, "2026-11"),
    Claim("DPM-Solver++, UniPC", "diffusers step by step; the closed form for normal data", CPU, "2026-11"),
    Claim("VDT, masked sampling", "outputs of RERV/VDT@cdbad2b under seeded weights", CPU, "2026-11"),
    Claim("VideoMAE, V-JEPA", "outputs of cd-fvd 0.1.1 and facebookresearch/jepa under seeded weights", CPU, "2026-11"),
    Claim("I3D, Inception, C3D", "outputs of the reference networks under seeded weights", CPU, "2026-11"),
    Claim(
        "FVD, FID, KVD, IS", "values of StyleGAN-V, TATS, torch-fidelity, TGAN2 on the same features", CPU, "2026-11"
    ),
    Claim("windows, crops, JPEG, H.264", "the loaders and converters of StyleGAN-V and Latte", CPU, "2026-11"),
    Claim("readers", "files of every codec made by the tests, nine real videos", CPU, "2026-11"),
    Claim("report pages", "a real browser (Chromium), axe", CPU, "2026-11"),
    Claim(
        "Python 3.12, 3.13; lowest versions",
        "the tests; of the last, those that failed were mended and run again",
        CPU,
        "2026-11",
    ),
    Claim("hostile input, kills, damage", "thousands of seeded trials: docs/reliability.md", CPU, "2026-11"),
    Claim("downloads", "a hub and a file server on the loopback", CPU, NEVER),
    Claim("GPU", "doctor --verify: 65 comparisons; a run killed and continued; speed", GPU, "2026-11"),
    Claim("many cards, many machines", "two processes on one CPU; a simulation to 1,024: docs/scale.md", CPU, NEVER),
    Claim("Apple silicon", "nothing yet", "no hardware", NEVER),
    Claim("DINOv2", "transformers' network; the hub's rule for positions as a formula", CPU, NEVER),
    Claim("published Latte and VDT checkpoints", "checkpoints of the same keys and shapes, seeded", CPU, NEVER),
    Claim("published weights of detectors and VAE", "seeded files of the same layout", CPU, NEVER),
    Claim("the four datasets", "their layouts in miniature, with real file types", CPU, NEVER),
    Claim("S3, Slurm, Kubernetes", "a loopback S3; a false sbatch; manifests checked as YAML", CPU, NEVER),
    Claim("workflows on GitHub and GitLab", "published schemas; their shell lines run", CPU, NEVER),
)


def claim_text(claim: Claim) -> str:
    """A claim in one line, without its name."""
    if claim.last == NEVER:
        return f"never run on the real thing; instead: {claim.proof}"
    return f"{claim.proof}; {claim.where}, {claim.last}"


def claims_table() -> list[str]:
    """The claims as lines of a Markdown table: the one in the README."""
    last = {NEVER: "the real thing: never"}
    rows = [f"| {c.name} | {c.proof} | {c.where} | {last.get(c.last, c.last)} |" for c in CLAIMS]
    return ["| what | shown by | where | last |", "| --- | --- | --- | --- |", *rows]
