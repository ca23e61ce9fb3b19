#!/usr/bin/env python3
"""Side-by-side benchmark of a Mainstay binary against the pipelines that people put into scripts.

    archives.py path/to/mainstay [--work DIR] [--rounds N] [--only zstd,age,gzip,snapshot] [--tree DIR] [--mib N]

Every round runs each program once on the same tree, in turn, so that a machine that slows down slows all. Printed per
workload: the median wall and CPU seconds of each program, its peak memory (of the largest process), the size of what it
stored, and PEER/MAINSTAY ratios (above 1 = Mainstay is faster). Mainstay runs a job with one repository of archives. In the
last round of each workload, what Mainstay stored is unpacked by tar and compared with the tree.

Workloads
  zstd      `tar c | zstd -3 -T0`
  age       `tar c | zstd -3 -T0 | age -r RECIPIENT`
  gzip      `tar c | pigz`
  snapshot  a job with a repository of restic's format beside the archives, so that the archive is made of the snapshot;
            beside `restic backup` and then `tar c | zstd -3 -T0`. The tree is new to both repositories in every round.

The tree is --mib MiB of files from this system's /usr/share (again and again, if it has less), or --tree. Needs about four
times as much under --work.
"""
import argparse, os, shutil, subprocess, sys

from measure import MIB, Table, shell, measured, size_of


class Mainstay:
    """One job on the tree."""

    def __init__(s, binary, work, tree, compression, encryption, also=()):
        s.bin, s.dir = binary, f"{work}/mainstay"
        s.env = {"P": "bench", "MAINSTAY_CACHE_DIR": f"{s.dir}/cache", "MAINSTAY_STATE_DIR": f"{s.dir}/state"}
        s.config = f"{work}/mainstay.yaml"
        with open(s.config, "w") as f:
            f.write(f"repositories:\n"
                    f"  files: {{url: '{s.dir}/files', format: archive, name: '%Y-%m-%d', compression: {compression}, encryption: {encryption}}}\n"
                    f"  repo: {{url: '{s.dir}/repo', password: {{env: P}}}}\n"
                    f"jobs:\n  bench:\n    sources: [files: '{tree}']\n    to: [{', '.join(['files', *also])}]\n")
        s.also = also

    def run(s):
        shutil.rmtree(s.dir, ignore_errors=True)
        os.makedirs(f"{s.dir}/files")
        for name in s.also: measured([s.bin, "--config", s.config, "-r", name, "init"], s.env)
        return measured([s.bin, "--config", s.config, "run", "bench"], s.env)

    def stored(s): return sum(size_of(f"{s.dir}/{name}") for name in ("files", *s.also))

    def check(s, tree, read):
        out = f"{s.dir}/unpacked"
        os.makedirs(out)
        archive, = (f"{s.dir}/files/{name}" for name in os.listdir(f"{s.dir}/files") if name[:2] == "20" and not name.endswith(".json"))
        shell(f"{read.format(archive)} | tar -x -C {out}")
        found = subprocess.run(["diff", "-r", "--no-dereference", tree, f"{out}/files{tree}"], stdout=subprocess.PIPE)
        if found.returncode: sys.exit(f"what was unpacked is not what was archived\n{found.stdout.decode(errors='replace')[:2000]}")
        shutil.rmtree(out)


def make_tree(path, mib):
    """Files of this system, copied until there are so many MiB."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    copied, turn = 0, 0
    while copied < mib * MIB:
        turn += 1
        for directory, _, names in sorted(os.walk("/usr/share")):
            if copied >= mib * MIB: break
            for name in names:
                source = os.path.join(directory, name)
                if os.path.islink(source) or not os.path.isfile(source): continue
                target = f"{path}/{turn}{source}"
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target)
                copied += os.path.getsize(source)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mainstay", type=os.path.abspath)
    parser.add_argument("--work", default="/tmp/bench-archives", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="zstd,age,gzip,snapshot")
    parser.add_argument("--tree", type=os.path.abspath)
    parser.add_argument("--mib", type=int, default=1024)
    a = parser.parse_args()
    shutil.rmtree(a.work, ignore_errors=True)
    os.makedirs(a.work)
    tree = a.tree or f"{a.work}/tree"
    if not a.tree: make_tree(tree, a.mib)
    files = sum(len(names) for _, _, names in os.walk(tree))
    print(f"# {files} files, {size_of(tree):.0f} MiB", flush=True)
    key, out, repo = f"{a.work}/key", f"{a.work}/peer.out", f"{a.work}/peer.repo"
    subprocess.run(["age-keygen", "-o", key], check=True, stderr=subprocess.DEVNULL)
    recipient = subprocess.run(["age-keygen", "-y", key], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    tar = f"tar -c -C / {tree[1:]}"
    restic = {"RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": f"{a.work}/peer.cache", "RESTIC_REPOSITORY": repo}
    workloads = {
        "zstd": ("{zstd: 3}", "none", (), f"{tar} | zstd -q -3 -T0 > {out}", "zstd -dc {}"),
        "age": ("{zstd: 3}", f"{{age: [{recipient}]}}", (), f"{tar} | zstd -q -3 -T0 | age -r {recipient} > {out}", f"age -d -i {key} {{}} | zstd -dc"),
        "gzip": ("{gzip: 6}", "none", (), f"{tar} | pigz > {out}", "gzip -dc {}"),
        "snapshot": ("{zstd: 3}", "none", ("repo",), f"restic -q backup {tree} && {tar} | zstd -q -3 -T0 > {out}", "zstd -dc {}"),
    }
    table = Table()
    for name in a.only.split(","):
        compression, encryption, also, pipeline, read = workloads[name]
        ours = Mainstay(a.mainstay, a.work, tree, compression, encryption, also)
        peer = pipeline.replace(tree, "TREE").replace(tree[1:], "TREE").replace(f" > {out}", "").replace(recipient, "…").replace("-C / ", "").replace("-q ", "")
        for r in range(a.rounds):
            table.add(name, "mainstay", ours.run(), ours.stored())
            if r == a.rounds - 1: ours.check(tree, read)
            shutil.rmtree(repo, ignore_errors=True)
            if also: shell("restic -q init", restic)
            table.add(name, peer, shell(pipeline, restic), size_of(out) + (size_of(repo) if also else 0))
            os.remove(out)
        shutil.rmtree(ours.dir)
    table.show()
    shutil.rmtree(a.work)


main()
