#!/usr/bin/env node
// Stands in for mongod, mongosh, mongodump and mongorestore, by the name that it is called with. A server is a file with JSON. What is
// written and read as an archive is what the specification of the real programs says
// (https://github.com/mongodb/mongo-tools/blob/master/common/archive/spec.md), made independently of the program under test.
'use strict';
const fs = require('fs');
const net = require('net');
const path = require('path');

const program = path.basename(process.argv[1]);
const args = process.argv.slice(2);
const home = path.dirname(process.argv[1]);
fs.appendFileSync(path.join(home, 'calls.log'), JSON.stringify([program, ...args]) + '\n');

const values = (name) => args.filter((arg) => arg.startsWith(`--${name}=`)).map((arg) => arg.slice(name.length + 3));
const value = (name) => values(name).pop();
const has = (name) => args.includes(`--${name}`);
const say = (text) => process.stderr.write(`2026-01-01T00:00:00.000+0000\t${text}\n`);
const fail = (text) => {
  say(`Failed: ${text}`);
  if (program === 'mongorestore') say('1 document(s) restored successfully. 1 document(s) failed to restore.');
  process.exit(1);
};

// Servers on sockets keep their file beside the socket.
const place = (host) => (host.startsWith('/') ? path.join(path.dirname(host), 'data/state.json') : path.join(home, 'state.json'));
const socketOf = (uri) => decodeURIComponent(uri.replace('mongodb://', '').replace(/^[^/]*@/, '').split('/')[0]);
const load = (file) => (fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { down: true });
// Whole or not at all: others read it meanwhile.
const save = (file, state) => {
  fs.writeFileSync(`${file}.${process.pid}`, JSON.stringify(state));
  fs.renameSync(`${file}.${process.pid}`, file);
};

// The password is a line of standard input, read byte by byte.
function askPassword() {
  process.stderr.write('Enter password for mongo user:\n');
  const byte = Buffer.alloc(1);
  const bytes = [];
  while (fs.readSync(0, byte, 0, 1) === 1 && byte[0] !== 10) bytes.push(byte[0]);
  return Buffer.from(bytes).toString();
}

function connectTool() {
  const uri = value('uri');
  const file = place(uri ? socketOf(uri) : value('host'));
  const password = value('username') && askPassword();
  const state = load(file);
  if (state.down) fail('can\'t create session: failed to connect to mongodb://db:27017/: server selection error: server selection timeout, current topology: { Last error: dial tcp: connect: connection refused }');
  const user = (state.users || {})[value('username')];
  if (Object.keys(state.users || {}).length > 0 && (!user || user.password !== password || value('authenticationDatabase') !== 'admin')) {
    fail('can\'t create session: failed to connect to mongodb://db:27017/: connection() error occurred during connection handshake: auth error: unable to authenticate using mechanism "SCRAM-SHA-256": (AuthenticationFailed) Authentication failed.');
  }
  return [file, state];
}

// BSON
function encode(document) {
  const parts = [];
  for (const [name, one] of Object.entries(document)) {
    const key = (kind) => parts.push(Buffer.from([kind]), Buffer.from(`${name}\0`));
    if (typeof one === 'string') {
      const text = Buffer.from(`${one}\0`);
      const length = Buffer.alloc(4);
      length.writeInt32LE(text.length);
      key(2);
      parts.push(length, text);
    } else if (typeof one === 'boolean') {
      key(8);
      parts.push(Buffer.from([one ? 1 : 0]));
    } else if (typeof one === 'bigint') {
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(one);
      key(18);
      parts.push(number);
    } else if (typeof one === 'number') {
      const number = Buffer.alloc(4);
      number.writeInt32LE(one);
      key(16);
      parts.push(number);
    } else {
      key(Array.isArray(one) ? 4 : 3);
      parts.push(encode(one));
    }
  }
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(4);
  length.writeInt32LE(body.length + 5);
  return Buffer.concat([length, body, Buffer.from([0])]);
}

function decode(bytes, isArray) {
  const document = isArray ? [] : {};
  let at = 4;
  while (bytes[at] !== 0) {
    const kind = bytes[at];
    const end = bytes.indexOf(0, at + 1);
    const name = bytes.toString('utf8', at + 1, end);
    at = end + 1;
    if (kind === 2) {
      const length = bytes.readInt32LE(at);
      document[name] = bytes.toString('utf8', at + 4, at + 3 + length);
      at += 4 + length;
    } else if (kind === 3 || kind === 4) {
      const length = bytes.readInt32LE(at);
      document[name] = decode(bytes.subarray(at, at + length), kind === 4);
      at += length;
    } else if (kind === 8) {
      document[name] = bytes[at] === 1;
      at += 1;
    } else if (kind === 16) {
      document[name] = bytes.readInt32LE(at);
      at += 4;
    } else if (kind === 18) {
      document[name] = bytes.readBigUInt64LE(at);
      at += 8;
    } else {
      fail(`unexpected kind ${kind}`);
    }
  }
  return document;
}

function crc64(bytes) {
  let sum = 0xffffffffffffffffn;
  for (const byte of bytes) {
    sum ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1n ? (sum >> 1n) ^ 0xc96c5795d7870f42n : sum >> 1n;
  }
  return sum ^ 0xffffffffffffffffn;
}

const TERMINATOR = Buffer.from([0xff, 0xff, 0xff, 0xff]);
const MAGIC = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);

function dump() {
  const [, state] = connectTool();
  const oplog = has('oplog');
  if (oplog && !state.set) fail('error finding oplog: not running with --replSet');
  if (!has('archive')) fail('no archive');
  const wanted = value('db') ? [value('db')] : Object.keys(state.databases).filter((name) => name !== 'local' && name !== 'config');
  const all = wanted.flatMap((db) => Object.entries(state.databases[db] || {}).map(([collection, one]) => ({ db, collection, ...one })));
  const parts = [MAGIC, encode({ concurrent_collections: 4, version: '0.1', server_version: state.version, tool_version: state.tool })];
  for (const one of all) {
    const options = one.kind === 'view' ? { viewOn: one.on, pipeline: [] } : {};
    const metadata = JSON.stringify({ options, indexes: one.indexes || [], uuid: '00', collectionName: one.collection, type: one.kind });
    parts.push(encode({ db: one.db, collection: one.collection, metadata, size: 0, type: one.kind }));
  }
  if (oplog) {
    parts.push(encode({ db: '', collection: 'oplog', metadata: '', size: 0, type: '' }));
    all.push({ db: '', collection: 'oplog', documents: state.log || [] });
  }
  parts.push(TERMINATOR);
  // Two documents of each in turn, as programs that copy side by side write them.
  const open = all.map((one) => ({ ...one, rest: (one.documents || []).map(encode), data: [] }));
  while (open.length > 0) {
    const one = open.shift();
    const some = one.rest.splice(0, 2);
    one.data.push(...some);
    parts.push(encode({ db: one.db, collection: one.collection, EOF: false, CRC: 0n }), ...some, TERMINATOR);
    if (one.rest.length > 0) {
      open.push(one);
    } else {
      parts.push(encode({ db: one.db, collection: one.collection, EOF: true, CRC: crc64(Buffer.concat(one.data)) }), TERMINATOR);
    }
  }
  let archive = Buffer.concat(parts);
  if (state.fail === 'dump is cut' || state.fail === 'dump dies') archive = archive.subarray(0, archive.length * 0.9);
  if (state.fail === 'dump is damaged') archive[archive.indexOf('Anna') + 1] ^= 1;
  fs.writeFileSync(1, archive);
  if (state.fail === 'dump dies') fail('error writing data for collection `app.people` to disk: error reading collection: connection(db:27017) incomplete read of message header: EOF');
  say('done dumping');
}

function readArchive(bytes) {
  if (!bytes.subarray(0, 4).equals(MAGIC)) fail('stream or file does not appear to be a mongodump archive');
  let at = 4;
  const next = () => {
    if (at + 4 > bytes.length) fail('corruption found in archive; EOF');
    const length = bytes.readInt32LE(at);
    if (length === -1) {
      at += 4;
      return null;
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  next();
  const found = new Map();
  for (let document = next(); document; document = next()) {
    const one = decode(document);
    found.set(`${one.db}.${one.collection}`, { ...one, metadata: JSON.parse(one.metadata || '{}'), data: [], ended: false });
  }
  while (at < bytes.length) {
    const header = decode(next());
    const one = found.get(`${header.db}.${header.collection}`);
    if (!one || one.ended) fail('namespace header for already opened namespace');
    for (let document = next(); document; document = next()) one.data.push(document);
    if (header.EOF) {
      one.ended = true;
      if (crc64(Buffer.concat(one.data)) !== header.CRC) fail('CRC mismatch');
    }
  }
  for (const [name, one] of found) if (!one.ended) fail(`archive finished before all collections were seen (${name})`);
  return found;
}

const pattern = (text) => new RegExp(`^${text.replace(/\\\*/g, '\u0000').replace(/[.$()[\]{}+?^|]/g, '\\$&').replace(/\*/g, '(.*)').replace(/\u0000/g, '\\*')}$`);

function restore() {
  const [file, state] = connectTool();
  const found = readArchive(fs.readFileSync(0));
  const includes = values('nsInclude').map(pattern);
  const from = values('nsFrom').map(pattern);
  const to = values('nsTo');
  const replay = has('oplogReplay');
  if (replay && includes.length + from.length > 0) fail('cannot use --oplogReplay with includes specified');
  if (!has('stopOnError')) fail('errors would be lost');
  let restored = 0;
  for (const [name, one] of found) {
    if (name === '.oplog' || (includes.length > 0 && !includes.some((include) => include.test(name)))) continue;
    if (state.fail === 'restore dies' && restored > 0) fail(`${name}: error restoring: connection reset by peer`);
    const matched = from.findIndex((one) => one.test(name));
    const target = matched < 0 ? name : name.replace(from[matched], to[matched].replace(/\\\*/g, '\u0000').replace('*', '$1').replace(/\u0000/g, '*'));
    const dot = target.indexOf('.');
    const [db, collection] = [target.slice(0, dot), target.slice(dot + 1)];
    const database = (state.databases[db] ||= {});
    if (has('drop')) delete database[collection];
    const kept = (database[collection] ||= { kind: one.type });
    if (one.type === 'view') {
      kept.on = one.metadata.options.viewOn;
    } else {
      kept.indexes = one.metadata.indexes;
      kept.documents ||= [];
      for (const document of one.data.map((data) => decode(data))) {
        if (kept.documents.some((old) => old._id === document._id)) {
          save(file, state);
          fail(`${target}: error restoring from archive on stdin: (DuplicateKey) E11000 duplicate key error`);
        }
        kept.documents.push(document);
      }
    }
    restored += 1;
    save(file, state);
  }
  if (replay) {
    if (!found.has('.oplog')) fail('no oplog file to replay; make sure you run mongodump with --oplog');
    for (const entry of found.get('.oplog').data.map((data) => decode(data))) {
      const [db, collection] = entry.ns.split('.');
      const kept = state.databases[db][collection];
      kept.documents = kept.documents.filter((old) => old._id !== entry.o._id);
      kept.documents.push(entry.o);
    }
    save(file, state);
  }
  say('3 document(s) restored successfully. 0 document(s) failed to restore.');
}

function shell() {
  const error = (name, code, message) => Object.assign(new Error(message), { name, code });
  const connect = (uri) => {
    const parsed = /^mongodb:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/]*)\//.exec(uri).slice(1).map((part) => part && decodeURIComponent(part));
    const [name, password, host] = parsed;
    const file = place(host);
    const state = load(file);
    if (state.down) throw error('MongoNetworkError', undefined, 'connect ECONNREFUSED 127.0.0.1:27017');
    const users = state.users || {};
    const user = users[name];
    if (Object.keys(users).length > 0 && (!user || user.password !== password || !uri.includes('authSource=admin'))) {
      throw error('MongoServerError', 18, 'Authentication failed.');
    }
    const database = (of) => ({
      getSiblingDB: database,
      getCollectionInfos: () => Object.entries(state.databases[of] || {}).map(([name, one]) => ({ name, type: one.kind })),
      getCollection: (collection) => ({
        countDocuments: () => ((state.databases[of] || {})[collection] || { documents: [] }).documents.length,
        drop: () => {
          delete state.databases[of][collection];
          if (Object.keys(state.databases[of]).length === 0) delete state.databases[of];
          save(file, state);
        },
      }),
      runCommand: (command) => {
        if (command.ping) return { ok: 1 };
        if (command.hello) return { setName: state.set, msg: state.sharded ? 'isdbgrid' : undefined };
        if (command.buildInfo) return { version: state.version };
        if (command.connectionStatus) {
          const authenticatedUsers = user ? [{ user: name, db: 'admin' }] : [];
          return { authInfo: { authenticatedUsers, authenticatedUserPrivileges: user ? user.privileges : [] } };
        }
        if (command.listDatabases) return { databases: Object.keys(state.databases).map((name) => ({ name, sizeOnDisk: 8192 })) };
        throw error('MongoServerError', 59, 'no such command');
      },
    });
    return database('admin');
  };
  console.log('Warning: what a shell says of itself');
  const script = args[args.indexOf('--eval') + 1];
  new Function('connect', 'print', 'EJSON', script)(connect, console.log, { stringify: (one) => JSON.stringify(one) });
}

function serve() {
  const file = path.join(value('dbpath'), 'state.json');
  save(file, { version: '7.0.5', tool: '100.9.4', databases: { admin: { 'system.users': { kind: 'collection', documents: [] } } } });
  net.createServer().listen(value('bind_ip'));
}

if (args[0] === '--version') {
  const state = load(path.join(home, 'state.json'));
  console.log(program === 'mongosh' ? '2.1.1' : program === 'mongod' ? 'db version v7.0.5' : `${program} version: ${state.tool || '100.9.4'}\ngit version: 0`);
} else {
  ({ mongod: serve, mongosh: shell, mongodump: dump, mongorestore: restore })[program]();
}
