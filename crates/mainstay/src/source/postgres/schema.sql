-- What a database consists of, a line for each object, sorted by kinds. Only what comes back from a dump exactly, whatever the
-- server's version: no expressions, which a newer server may write otherwise, no owners, no rights.
WITH member AS MATERIALIZED (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
space AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),
relation AS MATERIALIZED (
    SELECT c.*, s.nspname FROM pg_catalog.pg_class c JOIN space s ON s.oid = c.relnamespace
    WHERE c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_catalog.pg_class'::regclass)
),
routine AS MATERIALIZED (
    SELECT p.*, s.nspname FROM pg_catalog.pg_proc p JOIN space s ON s.oid = p.pronamespace
    WHERE p.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_catalog.pg_proc'::regclass)
),
line(kind, line) AS (
    SELECT 'schemas', json_build_array(nspname) FROM space
    WHERE oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_catalog.pg_namespace'::regclass)
    UNION ALL
    SELECT 'relations', json_build_array(nspname, relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity,
        relispartition, pg_catalog.pg_get_expr(relpartbound, oid))
    FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 'columns', json_build_array(r.nspname, r.relname,
        pg_catalog.row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
        a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.atthasdef,
        l.collname)
    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
    WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT 'constraints', json_build_array(r.nspname, r.relname, k.conname, k.contype, k.convalidated, k.condeferrable,
        k.condeferred, f.relname, k.confupdtype, k.confdeltype, k.confmatchtype,
        (SELECT pg_catalog.json_agg(a.attname ORDER BY n.place) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY n (attnum, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.attnum),
        (SELECT pg_catalog.json_agg(a.attname ORDER BY n.place) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY n (attnum, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.attnum))
    FROM pg_catalog.pg_constraint k JOIN relation r ON r.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
    WHERE k.contype <> 'n' AND k.conparentid = 0
    UNION ALL
    SELECT 'indexes', json_build_array(r.nspname, i.relname, r.relname, x.indisunique, x.indisprimary, x.indisexclusion,
        x.indnatts, x.indnkeyatts, m.amname, x.indoption::text, x.indpred IS NOT NULL,
        (SELECT pg_catalog.json_agg(a.attname ORDER BY n.place)
            FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY n (attnum, place)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = n.attnum AND n.attnum > 0))
    FROM pg_catalog.pg_index x JOIN relation r ON r.oid = x.indrelid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    JOIN pg_catalog.pg_am m ON m.oid = i.relam
    WHERE x.indisvalid OR i.relkind = 'I'
    UNION ALL
    SELECT 'routines', json_build_array(nspname, proname, pg_catalog.pg_get_function_identity_arguments(p.oid), prokind,
        pg_catalog.format_type(prorettype, NULL), proretset, l.lanname, provolatile, prosecdef, proisstrict, proconfig,
        CASE WHEN l.lanname = 'c' THEN '' ELSE prosrc END)
    FROM routine p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.oid NOT IN (SELECT objid FROM pg_catalog.pg_depend
        WHERE classid = 'pg_catalog.pg_proc'::regclass AND refclassid = 'pg_catalog.pg_type'::regclass AND deptype = 'i')
    UNION ALL
    SELECT 'triggers', json_build_array(r.nspname, r.relname, t.tgname, t.tgtype, t.tgenabled, p.proname)
    FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0'
    UNION ALL
    SELECT 'policies', json_build_array(r.nspname, r.relname, p.polname, p.polcmd, p.polpermissive)
    FROM pg_catalog.pg_policy p JOIN relation r ON r.oid = p.polrelid
    UNION ALL
    SELECT 'rules', json_build_array(r.nspname, r.relname, w.rulename, w.ev_type, w.ev_enabled)
    FROM pg_catalog.pg_rewrite w JOIN relation r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'types', json_build_array(s.nspname, t.typname, t.typtype, pg_catalog.format_type(NULLIF(t.typbasetype, 0), t.typtypmod),
        t.typnotnull, (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
            WHERE e.enumtypid = t.oid))
    FROM pg_catalog.pg_type t JOIN space s ON s.oid = t.typnamespace LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE (t.typtype IN ('e', 'd', 'r', 'b') OR (t.typtype = 'c' AND c.relkind = 'c')) AND t.typcategory <> 'A'
    AND t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_catalog.pg_type'::regclass)
    UNION ALL
    SELECT 'comments', json_build_array(i.type, i.identity, d.description)
    FROM pg_catalog.pg_description d,
        LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) i
    WHERE d.objoid >= 16384 AND d.classoid <> 'pg_catalog.pg_extension'::regclass
    AND NOT EXISTS (SELECT FROM member m WHERE m.classid = d.classoid AND m.objid = d.objoid)
    UNION ALL
    SELECT 'others', json_build_array('event trigger', evtname, evtevent, evtenabled) FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT 'others', json_build_array('publication', pubname) FROM pg_catalog.pg_publication
    UNION ALL
    SELECT 'others', json_build_array('server', srvname) FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 'others', json_build_array('statistics', s.nspname, e.stxname)
    FROM pg_catalog.pg_statistic_ext e JOIN space s ON s.oid = e.stxnamespace
    UNION ALL
    SELECT 'others', json_build_array('large objects', pg_catalog.count(*)) FROM pg_catalog.pg_largeobject_metadata
)
SELECT json_build_array(kind, line) FROM line;
