-- One of everything that PostgreSQL has of its own.
CREATE ROLE "app owner" LOGIN PASSWORD 'secret of the owner';
CREATE ROLE reader;
GRANT reader TO "app owner";
ALTER DATABASE app OWNER TO "app owner";
ALTER DATABASE app SET search_path TO "$user", public, "s p/a.c""e🐘";
ALTER DATABASE app SET work_mem TO '5MB';
ALTER ROLE reader IN DATABASE app SET statement_timeout TO '7min';
COMMENT ON DATABASE app IS 'it''s
the \ database';
GRANT CONNECT ON DATABASE app TO reader WITH GRANT OPTION;
CREATE EXTENSION hstore;
CREATE EXTENSION pg_trgm;
CREATE SCHEMA "s p/a.c""e🐘";
COMMENT ON SCHEMA "s p/a.c""e🐘" IS 'odd';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE types (
    id bigint GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 3) PRIMARY KEY,
    s smallint, n numeric(30, 10), r real, d double precision, m money, b boolean,
    c char(5), v varchar(10), t text, bytes bytea,
    day date, at time, atz timetz, stamp timestamp, stampz timestamptz, i interval,
    u uuid, j json, jb jsonb, x xml, ip inet, net cidr, mac macaddr, mac8 macaddr8,
    bits bit(5), varbits bit varying, vector tsvector, query tsquery,
    p point, l line, seg lseg, bx box, pth path, poly polygon, circ circle,
    ints int[], texts text[][], r4 int4range, rn numrange, mr int4multirange, rt tstzrange,
    e mood, es mood[], pr pair, prs pair[], pos positive, h hstore, o oid, lsn pg_lsn,
    total numeric GENERATED ALWAYS AS (n * 2) STORED
);
INSERT INTO types (s, n, r, d, m, b, c, v, t, bytes, day, at, atz, stamp, stampz, i, u, j, jb, x, ip, net, mac, mac8, bits,
    varbits, vector, query, p, l, seg, bx, pth, poly, circ, ints, texts, r4, rn, mr, rt, e, es, pr, prs, pos, h, o, lsn)
SELECT -32768, 123456789.0123456789, 'NaN', '-Infinity', '12.34', true, 'ab', 'vier', E'tab\tline\nback\\slash 🐘 \\.', '\x00ff5c0a',
    '4713-01-01 BC', '24:00', '04:05:06.789+02', '294276-12-31', '2024-02-29 12:00+00', '1 year -3 days 04:05:06',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": [1, null]}', '{"b": "\u00e9"}', '<a>&amp;</a>', '::1/128', '10.0.0.0/8',
    '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'1', to_tsvector('a fat cat'), 'fat & (cat | rat)',
    '(1,2)', '{1,2,3}', '[(0,0),(1,1)]', '((0,0),(1,1))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),5>',
    '{1,NULL,3}', '{{a,"b,c"},{"",NULL}}', '[1,10)', '(,5.5]', '{[1,2),[4,5)}', '[2024-01-01 00:00+00,)', 'it''s', '{sad,ok}',
    '(1,"x,y")', '{"(1,a)","(,)"}', 7, 'a=>1, b=>NULL', 12345, '16/B374D848'
FROM generate_series(1, 3);
INSERT INTO types DEFAULT VALUES;
CREATE TABLE "s p/a.c""e🐘"."t a/b.le""
 %🐘" ("c ol" text PRIMARY KEY, "UPPER" int);
INSERT INTO "s p/a.c""e🐘"."t a/b.le""
 %🐘" VALUES ('x', 1), (E'\\.', 2), (E'COPY public.types (id) FROM stdin;', 3);
CREATE TABLE parents (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO parents (name) SELECT 'parent ' || n FROM generate_series(1, 100) n;
CREATE TABLE children (
    id serial PRIMARY KEY, parent int NOT NULL, changed int DEFAULT 0,
    CONSTRAINT "to parent" FOREIGN KEY (parent) REFERENCES parents ON DELETE CASCADE DEFERRABLE
);
COMMENT ON CONSTRAINT "to parent" ON children IS 'a key';
INSERT INTO children (parent) SELECT id FROM parents;
CREATE INDEX "by parent" ON children (parent) WHERE changed > 0;
CREATE INDEX similar_names ON parents USING gin (name public.gin_trgm_ops);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.changed := NEW.changed + 1; RETURN NEW; END$$;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON children FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE parted (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE parted_2023 PARTITION OF parted FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
CREATE INDEX ON parted (n);
INSERT INTO parted SELECT '2023-06-01'::date + n * 10, n FROM generate_series(1, 50) n;
CREATE VIEW names AS SELECT name FROM parents WHERE id < 10;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM parents;
CREATE UNLOGGED TABLE scratchpad AS SELECT 1 AS n;
CREATE TABLE hidden (owner text, secret text);
INSERT INTO hidden VALUES ('reader', 'x'), ('nobody', 'y');
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON hidden TO reader USING (owner = current_user);
GRANT SELECT (owner) ON hidden TO reader;
ALTER TABLE hidden OWNER TO "app owner";
CREATE SEQUENCE tickets START 1000 INCREMENT -5 MINVALUE -100000 MAXVALUE 1000;
SELECT nextval('tickets'), nextval('tickets');
CREATE SEQUENCE unused;
CREATE SEQUENCE "of hstore";
SELECT nextval('"of hstore"');
ALTER EXTENSION hstore ADD SEQUENCE "of hstore";
SELECT lo_from_bytea(4711, '\x00010203'), lo_from_bytea(4712, convert_to(repeat('large ', 100000), 'UTF8'));
COMMENT ON LARGE OBJECT 4711 IS 'four bytes';
ALTER TABLE parents ADD CONSTRAINT "not checked" CHECK (id <> 50) NOT VALID;
COMMENT ON COLUMN parents.name IS 'a name';
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;
