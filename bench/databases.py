#!/usr/bin/env python3
"""Side-by-side benchmark of a Mainstay binary against the dump programs that people put into scripts.

    databases.py path/to/mainstay [--work DIR] [--rounds N] [--only postgres,mariadb,sqlite] [--gib N]

Every round runs each program once on the same data, in turn, so that a machine that slows down slows all. Printed per
workload: the median wall and CPU seconds of each program, its peak memory, the size of what it stored, and PEER/MAINSTAY
ratios (above 1 = Mainstay is faster). CPU and memory of Mainstay count the client programs that it starts, not the server.
Needs the servers of `cargo xtask setup`, and about five times --gib of disk under --work.

Workloads
  postgres   a server with pgbench's tables and one large table whose rows are of very different length: capture, the same
             after 1 % of new rows and an update of the newest 1 %, and restore under another name
  mariadb    a server with one large and some small tables: capture
  sqlite     a database of 2 GiB while a program commits to it without a pause: how long its commits took, at most
"""
import argparse, os, shutil, sqlite3, subprocess, sys, threading, time
from contextlib import closing

from measure import MIB, Table, measured, shell, size_of

POSTGRES_BIN = sorted(
    (f"/usr/lib/postgresql/{v}/bin" for v in os.listdir("/usr/lib/postgresql")), key=lambda p: float(p.split("/")[4]))[-1] \
    if os.path.isdir("/usr/lib/postgresql") else ""


class Mainstay:
    """One repository and one job."""

    def __init__(s, binary, work, source):
        s.bin, s.dir = binary, work
        s.env = {"P": "bench", "MAINSTAY_CACHE_DIR": f"{work}/cache", "MAINSTAY_STATE_DIR": f"{work}/state"}
        s.config = f"{work}/mainstay.yaml"
        with open(s.config, "w") as f:
            f.write(f"repositories:\n  local: {{url: '{work}/repo', password: {{env: P}}}}\n"
                    f"jobs:\n  bench:\n    sources:\n      - {source}\n    to: [local]\n")

    def fresh(s):
        for d in ("repo", "cache", "state"): shutil.rmtree(f"{s.dir}/{d}", ignore_errors=True)
        measured([s.bin, "--config", s.config, "-r", "local", "init"], s.env)

    def run(s): return measured([s.bin, "--config", s.config, "run", "bench"], s.env)
    def stored(s): return size_of(f"{s.dir}/repo")

    def restore(s, part, name):
        return measured([s.bin, "--config", s.config, "-r", "local", "restore", "latest", "--part", part, "--as", name, "--yes"], s.env)


def server_user(name):
    """As root, servers want to run as somebody else."""
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"] if os.getuid() == 0 else []


def own(path, name):
    if os.getuid() == 0: shutil.chown(path, name, name)


def postgres(a, table):
    work = f"{a.work}/postgres"
    shutil.rmtree(work, ignore_errors=True)
    server = f"{work}/server"
    os.makedirs(server)
    own(server, "postgres")
    as_user, psql_env = server_user("postgres"), {"PGHOST": server, "PGUSER": "postgres"}
    os.environ.update(psql_env)
    def tool(*argv): subprocess.run([*as_user, *argv], check=True, stdout=subprocess.DEVNULL, cwd="/")
    def sql(text, db="bench"):
        return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", db, "-c", text], check=True, stdout=subprocess.PIPE, text=True).stdout
    tool(f"{POSTGRES_BIN}/initdb", "-D", f"{server}/data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
    settings = f"-k {server} -c listen_addresses= -c fsync=off -c shared_buffers=512MB -c max_wal_size=8GB -c maintenance_work_mem=256MB"
    tool(f"{POSTGRES_BIN}/pg_ctl", "-D", f"{server}/data", "-s", "-w", "-l", f"{server}/log", "-o", settings, "start")
    try:
        sql("CREATE DATABASE bench", "postgres")
        scale = max(1, round(a.gib * 33))
        subprocess.run([f"{POSTGRES_BIN}/pgbench", "-i", "-q", "-s", str(scale), "bench"], check=True, stderr=subprocess.DEVNULL)
        # One row in a hundred holds a hundred times as much as the others.
        events = round(a.gib * 700_000)
        rows = "SELECT g, now() - g * interval '1 second', md5(g::text), jsonb_build_object('user', g % 9973, 'path', '/item/' || g % 777), " \
               "(SELECT string_agg(md5((g * 7 + n)::text), ' ') FROM generate_series(1, CASE WHEN g % 100 = 0 THEN 900 ELSE 9 END) n) FROM generate_series({}, {}) g"
        sql("CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz, token text, what jsonb, body text)")
        sql("INSERT INTO events " + rows.format(1, events))
        sql("VACUUM (FREEZE, ANALYZE)")
        size = int(sql("SELECT pg_database_size(current_database())"))
        is_large = size >= 1 << 30  # then it becomes a directory
        print(f"# postgres: {size / MIB:.0f} MiB, of which events {int(sql('''SELECT pg_total_relation_size('events')''')) / MIB:.0f}", flush=True)
        m = Mainstay(a.mainstay, work, f"postgres: {{host: '{server}', user: postgres, name: main, databases: [bench]}}")
        gz, zst, fc = f"{work}/bench.sql.gz", f"{work}/bench.dump.zst", f"{work}/bench.dump"
        for r in range(a.rounds):
            m.fresh()
            table.add("capture", "mainstay", m.run(), m.stored())
            table.add("capture", "pg_dump | gzip", shell(f"pg_dump bench | gzip > {gz}"), size_of(gz))
            os.remove(gz)
            table.add("capture", "pg_dump -Fc -Z0 | zstd -3 -T0", shell(f"pg_dump -Fc -Z0 bench | zstd -q -3 -T0 -f -o {zst}"), size_of(zst))
            os.remove(zst)
        measured(["pg_dump", "-Fc", "-Z0", "-f", fc, "bench"])
        for r in range(a.rounds):
            part = "/postgres/main/bench" if is_large else "/postgres/main/bench.dump"
            table.add("restore", "mainstay", m.restore(part, "again"))
            same = sql("SELECT count(*), sum(abalance), max(aid) FROM pgbench_accounts", "bench") == sql("SELECT count(*), sum(abalance), max(aid) FROM pgbench_accounts", "again") \
                and sql("SELECT count(*), sum(length(body)) FROM events", "bench") == sql("SELECT count(*), sum(length(body)) FROM events", "again")
            if not same: sys.exit("what was restored is not what was captured")
            sql("DROP DATABASE again", "postgres")
            sql("CREATE DATABASE again", "postgres")
            table.add("restore", "pg_restore -j2", measured(["pg_restore", "-j2", "-d", "again", fc]))
            sql("DROP DATABASE again", "postgres")
        os.remove(fc)
        before = m.stored()
        sql("INSERT INTO events " + rows.format(events + 1, events + events // 100))
        sql(f"UPDATE events SET token = md5(token) WHERE id > {events}")
        accounts = int(sql("SELECT max(aid) FROM pgbench_accounts"))
        sql(f"INSERT INTO pgbench_accounts SELECT g, 1, 0, 'new' FROM generate_series({accounts + 1}, {accounts + accounts // 100}) g")
        sql(f"UPDATE pgbench_accounts SET abalance = aid % 100 WHERE aid > {accounts}")
        table.add("second capture", "mainstay", m.run(), m.stored() - before)
        print(f"# postgres: the second capture added {100 * (m.stored() - before) / before:.1f} % to the repository", flush=True)
    finally:
        tool(f"{POSTGRES_BIN}/pg_ctl", "-D", f"{server}/data", "-s", "-m", "immediate", "stop")
    shutil.rmtree(work)


def mariadb(a, table):
    work = f"{a.work}/mariadb"
    shutil.rmtree(work, ignore_errors=True)
    server = f"{work}/db"
    os.makedirs(work)
    subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={server}", "--auth-root-authentication-method=normal",
                    "--skip-test-db", "--user=root"], check=True, stdout=subprocess.DEVNULL)
    socket = f"{server}/sock"
    process = subprocess.Popen(["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={server}", f"--socket={socket}", "--skip-networking",
                                "--user=root", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=512M",
                                "--innodb-log-file-size=512M"], stderr=open(f"{work}/log", "wb"))
    client = ["--no-defaults", f"--socket={socket}", "--user=root"]
    def sql(text, db=""): subprocess.run(["mariadb", *client, "-e", text, *([db] if db else [])], check=True)
    try:
        for _ in range(100):
            if subprocess.run(["mariadb", *client, "-e", "SELECT 1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0: break
            time.sleep(0.2)
        sql("CREATE DATABASE bench")
        rows = round(a.gib * 2_400_000)
        sql("CREATE TABLE events (id BIGINT PRIMARY KEY, at DATETIME, token CHAR(32), user INT, body TEXT) ENGINE=InnoDB;"
            f"INSERT INTO events SELECT seq, NOW() - INTERVAL seq SECOND, MD5(seq), seq % 9973, CONCAT_WS(' ', MD5(seq*8), MD5(seq*8+1), MD5(seq*8+2), 'some words that come again and again in every text', MD5(seq*8+3), MD5(seq*8+4), 'and some that do not', MD5(seq*8+5)) FROM seq_1_to_{rows};"
            "CREATE TABLE small (id INT PRIMARY KEY, name VARCHAR(50)) ENGINE=InnoDB; INSERT INTO small SELECT seq, CONCAT('name ', seq) FROM seq_1_to_10000", "bench")
        m = Mainstay(a.mainstay, work, f"mariadb: {{host: '{socket}', user: root, name: main, databases: [bench]}}")
        gz = f"{work}/bench.sql.gz"
        for r in range(a.rounds):
            m.fresh()
            table.add("mariadb capture", "mainstay", m.run(), m.stored())
            dump = ["mariadb-dump", *client, "--single-transaction", "--routines", "--events", "bench"]
            table.add("mariadb capture", "mariadb-dump | gzip", shell(f"{' '.join(dump)} | gzip > {gz}"), size_of(gz))
    finally:
        process.terminate()
        process.wait()
    shutil.rmtree(work)


def sqlite(a, table):
    work = f"{a.work}/sqlite"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    path = f"{work}/app.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA journal_mode = wal; CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER); CREATE TABLE log (id INTEGER PRIMARY KEY, body BLOB);")
        db.executemany("INSERT INTO accounts VALUES (?, 100)", ((n,) for n in range(1000)))
        wanted, size = round(min(a.gib, 2) * 1024), 0
        while size < wanted:
            db.executemany("INSERT INTO log (body) VALUES (?)", ((os.urandom(500) + b"text " * 100,) for _ in range(50_000)))
            db.commit()
            size = os.path.getsize(path) / MIB
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    m = Mainstay(a.mainstay, work, f"sqlite: {{path: '{path}', name: app}}")
    stop, waits = threading.Event(), []
    def write():
        with closing(sqlite3.connect(path, timeout=60)) as db:
            n = 0
            while not stop.is_set():
                n += 1
                start = time.monotonic()
                db.execute("UPDATE accounts SET balance = balance - 1 WHERE id = ?", (n % 1000,))
                db.execute("UPDATE accounts SET balance = balance + 1 WHERE id = ?", ((n * 7 + 1) % 1000,))
                db.execute("INSERT INTO log (body) VALUES (?)", (os.urandom(500),))
                db.commit()
                waits.append(time.monotonic() - start)
    def worst(): return f"{len(waits)} commits, the longest took {max(waits) * 1000:.0f} ms, 99.9 % at most {sorted(waits)[int(len(waits) * 0.999)] * 1000:.0f} ms"
    print(f"# sqlite: {os.path.getsize(path) / MIB:.0f} MiB", flush=True)
    for r in range(a.rounds):
        m.fresh()
        for what in ("alone", "captured"):
            stop.clear(); waits.clear()
            writer = threading.Thread(target=write)
            writer.start()
            if what == "alone": time.sleep(5)
            else: table.add("sqlite capture", "mainstay", m.run(), m.stored())
            stop.set(); writer.join()
            print(f"# sqlite, {what}: {worst()}", flush=True)
        copy = f"{work}/copy"
        subprocess.run([m.bin, "--config", m.config, "-r", "local", "restore", "latest", "--part", "/sqlite/app.db", "--as", copy, "--yes"], env=dict(os.environ, **m.env), check=True, stdout=subprocess.DEVNULL)
        with closing(sqlite3.connect(copy)) as db:
            total, check = db.execute("SELECT sum(balance) FROM accounts").fetchone()[0], db.execute("PRAGMA quick_check").fetchone()[0]
            if (total, check) != (100_000, "ok"): sys.exit(f"what was restored is not of one moment: {total}, {check}")
        os.remove(copy)
    shutil.rmtree(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mainstay", type=os.path.abspath)
    parser.add_argument("--work", default="/tmp/bench-databases", type=os.path.abspath)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="postgres,mariadb,sqlite")
    parser.add_argument("--gib", type=float, default=5, help="size of the PostgreSQL database (the others follow)")
    a = parser.parse_args()
    os.makedirs(a.work, exist_ok=True)
    table = Table()
    for name in a.only.split(","):
        {"postgres": postgres, "mariadb": mariadb, "sqlite": sqlite}[name](a, table)
    table.show()


main()
