//! PostgreSQL with PostGIS: an extension with types, indexes and rows of its own.

use crate::contract::configuration;
use crate::jobs::Jobs;
use crate::scene::Ended;
use testkit::postgres_server::{PostgresServer, newer_clients};

const CONTENT: &str = "
CREATE EXTENSION postgis;
INSERT INTO spatial_ref_sys VALUES (990001, 'ours', 1, NULL, '+proj=longlat +datum=WGS84 +no_defs');
CREATE TABLE places (
    id int PRIMARY KEY, at geometry(Point, 4326) NOT NULL, round geography GENERATED ALWAYS AS (at::geography) STORED, ours geometry(Point, 990001)
);
INSERT INTO places (id, at, ours) SELECT n, ST_SetSRID(ST_MakePoint(n % 180, n % 90), 4326), ST_SetSRID(ST_MakePoint(n, 1), 990001)
    FROM generate_series(1, 2000) n;
CREATE INDEX places_at ON places USING gist (at);
CREATE TABLE areas (id int, shape geometry(PolygonZ, 4326) CHECK (ST_IsValid(shape)));
INSERT INTO areas VALUES (1, 'SRID=4326;POLYGON Z ((0 0 1, 9 0 2, 9 9 3, 0 0 1))');
CREATE VIEW inside AS SELECT p.id FROM places p JOIN areas a ON ST_Contains(a.shape, p.at);
";

const STATE: &str = "
SELECT count(*), md5(string_agg(id || ST_AsEWKB(at)::text || ST_AsText(round) || ST_AsEWKT(ours), '' ORDER BY id)) FROM places;
SELECT string_agg(ST_AsEWKT(shape), ';') FROM areas;
SELECT count(*) FROM inside;
SELECT string_agg(indexdef, ';' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'places';
SELECT f_table_name, type, srid FROM geometry_columns ORDER BY 1, 2, 3;
SELECT count(*), string_agg(auth_name, ',') FILTER (WHERE srid = 990001) FROM spatial_ref_sys;
SELECT extname, extversion FROM pg_extension ORDER BY 1;
";

fn configure(server: &PostgresServer) -> String {
    let at = format!(
        "host: {}, port: {}, user: postgres, databases: [app]",
        server.socket().display(),
        server.port()
    );
    configuration(&format!(
        "      - postgres: {{{at}, name: main}}\n      - postgres: {{{at}, name: other, globals: false, parallel: 2}}"
    ))
}

fn restore(jobs: &Jobs, part: &str, more: &[&str]) -> Ended {
    jobs.run(&[&["-r", "main", "restore", "latest", "--yes", "--part", part], more].concat())
}

#[test]
fn heavy_a_database_with_postgis_comes_back() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", CONTENT);
    let before = server.sql("app", STATE);
    let mut jobs = Jobs::new(&configure(&server));
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    for part in report["parts"].as_array().unwrap() {
        let rows = &part["facts"]["rows"];
        assert!(rows.is_null() || rows["public.places"] == 2000, "{part}");
    }
    for (part, copy) in [("/postgres/main/app.dump", "one"), ("/postgres/other/app", "two")] {
        let restored = restore(&jobs, part, &["--as", copy]);
        assert_eq!(restored.code, 0, "{restored}");
        assert_eq!(server.sql(copy, STATE), before);
        server.sql("app", "DROP EXTENSION postgis CASCADE");
        let restored = restore(&jobs, part, &["--overwrite"]);
        assert_eq!(restored.code, 0, "{restored}");
        assert_eq!(server.sql("app", STATE), before);
        server.sql("app", "DELETE FROM places WHERE id > 3; DROP INDEX places_at");
        server.sql("app", "CREATE INDEX places_at ON places USING gist (at)");
        let restored = restore(&jobs, &format!("{part}/public.places"), &["--overwrite"]);
        assert_eq!(restored.code, 0, "{restored}");
        assert_eq!(server.sql("app", STATE), before);
    }
    let drill = jobs.run(&["-r", "main", "drill", "latest"]);
    assert!(drill.code == 0 && drill.stdout.contains("RESTORE OK"), "{drill}");
    // A server without it: it is named before anything is done.
    let without = PostgresServer::start_version(16);
    without.sql("postgres", "CREATE DATABASE app");
    without.sql("app", "CREATE TABLE kept AS SELECT 7 AS n");
    jobs.programs = Some(newer_clients());
    jobs.configure(&configure(&without));
    for part in ["/postgres/main/app.dump", "/postgres/other/app"] {
        let refused = restore(&jobs, part, &["--overwrite"]);
        assert!(
            refused.code == 1 && refused.stderr.contains("the extensions postgis; nothing was changed"),
            "{refused}"
        );
    }
    assert_eq!(without.sql("app", "SELECT n FROM kept"), "7");
    let databases = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
    assert_eq!(without.sql("postgres", databases), "app,postgres");
}
