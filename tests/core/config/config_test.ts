/** The configuration: defaults, values, overrides, and what is said of a wrong one. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { type Config, type ConfigSource, formatConfigProblem, loadConfig } from "../../../core/config/config.ts";
import { configReference, parseDuration, parseEndpoint } from "../../../core/config/schema.ts";
import { CONFIG_PATH_DEFAULT } from "../../../core/constants.ts";

const directory = mkdtempSync(join(tmpdir(), "dplaned-config-"));
const path = join(directory, "dplaned.toml");
after(() => rmSync(directory, { recursive: true, force: true }));

function load(text: string, source: Omit<ConfigSource, "path"> = {}) {
  writeFileSync(path, text, { mode: 0o640 });
  return loadConfig({ path, ...source });
}

function loadGood(text: string, source: Omit<ConfigSource, "path"> = {}): Config {
  const result = load(text, source);
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatConfigProblem).join("\n"));
  return result.config;
}

/** The problems of a file, without the file's directory. */
function problemsOf(text: string, source: Omit<ConfigSource, "path"> = {}): string[] {
  const result = load(text, source);
  assert.ok(!result.ok, "the configuration is refused");
  return result.problems.map((problem) => formatConfigProblem(problem).replace(`${directory}/`, ""));
}

describe("loadConfig, defaults", () => {
  const installed = existsSync(CONFIG_PATH_DEFAULT) ? `${CONFIG_PATH_DEFAULT} exists on this machine` : false;
  it("gives every key its default where the default file is missing", { skip: installed }, () => {
    const result = loadConfig();
    assert.ok(result.ok);
    assert.deepEqual(result.config, {
      path: null,
      daemon: {
        socket: "/run/dplaned/dplaned.sock",
        http: { host: "127.0.0.1", port: 2680 },
        httpHosts: [],
        httpConnections: 512,
        httpRate: 200,
        tls: null,
        logLevel: "info",
        withdrawOnExit: false,
      },
      dataplane: { queueLimit: 2048, workLimit: 512 },
      kernel: {
        netns: null,
        protocol: 210,
        metric: 20,
        table: 254,
        nexthopObjects: "auto",
        staleTimeMs: 120_000,
        auditIntervalMs: 60_000,
      },
      fpm: {
        listen: null,
        peers: [],
        offloadReplies: false,
        acceptKernel: false,
        metric: 20,
        quietTimeMs: 5000,
        holdTimeMs: 120_000,
        tables: new Map(),
        links: new Map(),
        allowsSharedKernel: false,
      },
      owners: [],
      providers: [],
    } satisfies Config);
  });

  it("takes an empty file and empty sections", () => {
    assert.equal(loadGood("").kernel.table, 254);
    assert.equal(loadGood("[kernel]\n[daemon]\n").kernel.table, 254);
  });

  it("gives providers the defaults of their kind", () => {
    const { providers } = loadGood(
      '[[provider]]\nkind = "kernel"\n[[provider]]\nkind = "test"\n[[provider]]\nkind = "fpm"\naddress = "127.0.0.1:2620"\n',
    );
    assert.deepEqual(providers, [
      { kind: "kernel", name: undefined, priority: "kernel", threaded: false },
      {
        kind: "test",
        name: undefined,
        priority: "pre-kernel",
        threaded: false,
        seed: 1,
        failRate: 0,
        delayMs: 0,
        dieAfter: 0,
        stuckAfter: 0,
      },
      {
        kind: "fpm",
        name: undefined,
        priority: "post-kernel",
        threaded: true,
        address: { host: "127.0.0.1", port: 2620 },
        profile: "frr",
        nexthopGroups: true,
        exportFailed: false,
      },
    ]);
  });
});

describe("loadConfig, values", () => {
  it("reads every key", () => {
    const config = loadGood(`
[daemon]
socket = "/tmp/d.sock"
http = "[::1]:80"
http-hosts = ["Router1.Example"]
http-connections = 9
http-rate = 0
tls-certificate = "/etc/dplaned/tls.pem"
tls-key = "/etc/dplaned/tls.key"
tls-client-ca = "/etc/dplaned/ca.pem"
log-level = "debug"
withdraw-on-exit = true
[dataplane]
queue-limit = 200
work-limit = 100
[kernel]
netns = "blue"
protocol = 211
metric = 0
table = 4294967295
nexthop-objects = "off"
stale-time = "1m30s"
audit-interval = "0s"
[fpm]
listen = "0.0.0.0:2620"
peers = ["10.9.0.1=frr", "2001:db8::1"]
offload-replies = true
accept-kernel = true
metric = 0
quiet-time = "2s"
hold-time = "0s"
table-map = ["10=100", "0=254"]
link-map = ["2=v0"]
shared-kernel = "allow"
[[owner]]
name = "bgp"
distance = 200
token-file = "/etc/dplaned/bgp.token"
certificates = ["CN=bgp", "DNS:bgp.example"]
prefix-limit = 1000000
tables = [254, 100]
take-over = true
[[provider]]
kind = "record"
name = "tape"
priority = "postprocess"
threaded = true
path = "/var/lib/dplaned/tape"
[[provider]]
kind = "plugin"
path = "/etc/dplaned/mine.ts"
fail-closed = true
time-budget = "50ms"
hang-time = "1s"
answer-time = "2s"
error-budget = 3
memory-limit = "1G"
privileged = true
[provider.options]
prefixes = ["10.0.0.0/8"]
deep = { at = 2026-01-02T03:04:05Z }
[[provider]]
kind = "test"
seed = 7
fail-rate = 0.25
delay-ms = 5
die-after = 11
stuck-after = 12
`);
    assert.deepEqual(config, {
      path,
      daemon: {
        socket: "/tmp/d.sock",
        http: { host: "::1", port: 80 },
        httpHosts: ["router1.example"],
        httpConnections: 9,
        httpRate: 0,
        tls: {
          certificateFile: "/etc/dplaned/tls.pem",
          keyFile: "/etc/dplaned/tls.key",
          clientCaFile: "/etc/dplaned/ca.pem",
        },
        logLevel: "debug",
        withdrawOnExit: true,
      },
      dataplane: { queueLimit: 200, workLimit: 100 },
      kernel: {
        netns: "blue",
        protocol: 211,
        metric: 0,
        table: 4_294_967_295,
        nexthopObjects: "off",
        staleTimeMs: 90_000,
        auditIntervalMs: 0,
      },
      fpm: {
        listen: { host: "0.0.0.0", port: 2620 },
        peers: [
          { address: "10.9.0.1", owner: "frr" },
          { address: "2001:db8::1", owner: null },
        ],
        offloadReplies: true,
        acceptKernel: true,
        metric: 0,
        quietTimeMs: 2000,
        holdTimeMs: 0,
        tables: new Map([
          [10, 100],
          [0, 254],
        ]),
        links: new Map([[2, "v0"]]),
        allowsSharedKernel: true,
      },
      owners: [
        {
          name: "bgp",
          distance: 200,
          tokenFile: "/etc/dplaned/bgp.token",
          certificates: ["CN=bgp", "DNS:bgp.example"],
          prefixLimit: 1_000_000,
          tables: [254, 100],
          takeOver: true,
        },
      ],
      providers: [
        { kind: "record", name: "tape", priority: "postprocess", threaded: true, path: "/var/lib/dplaned/tape" },
        {
          kind: "plugin",
          name: undefined,
          priority: "post-kernel",
          threaded: true,
          path: "/etc/dplaned/mine.ts",
          options: { prefixes: ["10.0.0.0/8"], deep: { at: "2026-01-02T03:04:05.000Z" } },
          failClosed: true,
          timeBudgetMs: 50,
          hangTimeMs: 1000,
          answerTimeMs: 2000,
          errorBudget: 3,
          memoryLimit: 2 ** 30,
          privileged: true,
        },
        {
          kind: "test",
          name: undefined,
          priority: "pre-kernel",
          threaded: false,
          seed: 7,
          failRate: 0.25,
          delayMs: 5,
          dieAfter: 11,
          stuckAfter: 12,
        },
      ],
    } satisfies Config);
  });

  it("switches HTTP over TCP off", () => {
    assert.equal(loadGood('[daemon]\nhttp = "off"\n').daemon.http, null);
  });
});

describe("loadConfig, overrides", () => {
  it("lets the environment override the file, and flags the environment", () => {
    const text = '[daemon]\nsocket = "/a"\nhttp = "off"\n[kernel]\ntable = 5\n';
    const environment = { DPLANED_DAEMON_SOCKET: "/b", DPLANED_KERNEL_TABLE: "6", DPLANED_KERNEL_STALE_TIME: "5s" };
    const config = loadGood(text, { environment, flags: { socket: "/c", logLevel: "warn", netns: "blue" } });
    assert.equal(config.daemon.socket, "/c");
    assert.equal(config.daemon.http, null);
    assert.equal(config.daemon.logLevel, "warn");
    assert.equal(config.kernel.table, 6);
    assert.equal(config.kernel.staleTimeMs, 5000);
    assert.equal(config.kernel.netns, "blue");
  });

  it("reads switches and names that look like numbers from the environment", () => {
    const environment = { DPLANED_DAEMON_WITHDRAW_ON_EXIT: "true", DPLANED_KERNEL_NETNS: "7" };
    const config = loadGood("", { environment });
    assert.equal(config.daemon.withdrawOnExit, true);
    assert.equal(config.kernel.netns, "7");
  });

  it("repairs a wrong value of the file by an override", () => {
    assert.equal(loadGood('[kernel]\ntable = "x"\n', { environment: { DPLANED_KERNEL_TABLE: "6" } }).kernel.table, 6);
  });

  it("names the variable or flag that is wrong", () => {
    assert.deepEqual(
      problemsOf("", { environment: { DPLANED_KERNEL_TABLE: "main" }, flags: { http: "2680" } }).sort(),
      [
        '--http: expected ADDRESS:PORT such as "127.0.0.1:2680" or "[::1]:2680", or "off", got "2680"',
        'DPLANED_KERNEL_TABLE: expected a whole number from 1 to 4294967295, got "main"',
      ],
    );
  });

  it("refuses unknown variables of its sections and leaves others alone", () => {
    const environment = { DPLANED_KERNEL_TABEL: "6", DPLANED_SERVICE_HOST: "10.0.0.1", PATH: "/bin" };
    assert.deepEqual(problemsOf("", { environment }), [
      'DPLANED_KERNEL_TABEL: unknown environment variable; did you mean "DPLANED_KERNEL_TABLE"?',
    ]);
  });
});

describe("loadConfig, problems", () => {
  it("reports all of them, in the order of the file, each with its place", () => {
    const text = `
[daemon]
  sokcet = "/x"
log-level = "loud"
[kernal]
[kernel]
protocol = 2
table = 99999999999999999999
stale-time = 120
[fpm]
listen = "host:1"
`;
    assert.deepEqual(problemsOf(text), [
      'dplaned.toml:3:3: [daemon] sokcet: unknown key; did you mean "socket"?',
      'dplaned.toml:4:1: [daemon] log-level: expected one of "debug", "info", "warn", "error", got "loud"',
      'dplaned.toml:5:1: [kernal]: unknown section; did you mean "kernel"?',
      "dplaned.toml:7:1: [kernel] protocol: expected a whole number from 5 to 255, got 2",
      "dplaned.toml:8:1: [kernel] table: expected a whole number from 1 to 4294967295, got 99999999999999999999",
      'dplaned.toml:9:1: [kernel] stale-time: expected a duration such as "500ms", "120s" or "2m", at most "7d", got 120',
      'dplaned.toml:11:1: [fpm] listen: expected ADDRESS:PORT such as "127.0.0.1:2680" or "[::1]:2680", or "off", got "host:1"',
    ]);
  });

  it("has TLS whole or not at all, and client certificates only where they are asked for", () => {
    assert.deepEqual(problemsOf('[daemon]\ntls-key = "/k"\n'), [
      "dplaned.toml:2:1: [daemon] tls-key: tls-certificate is missing, and needed beside it",
    ]);
    assert.deepEqual(problemsOf('[daemon]\ntls-client-ca = "/ca"\ntls-certificate = "/c"\n'), [
      "dplaned.toml:3:1: [daemon] tls-certificate: tls-key is missing, and needed beside it",
    ]);
    assert.deepEqual(problemsOf('[[owner]]\nname = "a"\ncertificates = ["CN=a"]\n'), [
      "dplaned.toml:3:1: [[owner]] certificates: no client will be asked for a certificate: [daemon] tls-client-ca is missing",
    ]);
    assert.match(problemsOf('[[owner]]\nname = "a"\ncertificates = ["a"]\n')[0]!, /expected a list of names in certif/);
    assert.match(problemsOf('[daemon]\nhttp-hosts = ["a:1"]\n')[0]!, /expected a list of host names/);
  });

  it("has the FPM server listen beyond the loopback only for peers that are named, each once", () => {
    assert.deepEqual(problemsOf('[fpm]\nlisten = "0.0.0.0:2620"\n'), [
      "dplaned.toml:2:1: [fpm] listen: whoever can reach 0.0.0.0 could write routes; name those who may, such as " +
        'peers = ["10.0.0.1=frr"], or listen on 127.0.0.1',
    ]);
    assert.deepEqual(loadGood('[fpm]\nlisten = "[::1]:2620"\n').fpm.listen, { host: "::1", port: 2620 });
    assert.deepEqual(problemsOf('[fpm]\npeers = ["10.0.0.1=frr", "10.0.0.2=frr"]\n'), [
      "dplaned.toml:2:1: [fpm] peers: each address and each owner may stand here once, and 10.0.0.2=frr is the second",
    ]);
    for (const [key, expected] of [
      ["peers", 'peers such as "10.0.0.1" or "10.0.0.1=frr"'],
      ["table-map", 'pairs of table numbers such as "10=100"'],
      ["link-map", 'pairs such as "2=v0"'],
    ] as const) {
      const [problem, ...more] = problemsOf(`[fpm]\n${key} = ["frr=x=y"]\n`);
      assert.match(problem ?? "", new RegExp(`^dplaned.toml:2:1: \\[fpm\\] ${key}: expected a list of ${expected}`));
      assert.deepEqual(more, []);
    }
  });

  it("takes lists from the environment with commas", () => {
    const environment = { DPLANED_FPM_PEERS: "10.0.0.1=frr, 10.0.0.2", DPLANED_FPM_TABLE_MAP: "1=2" };
    const { fpm } = loadGood("", { environment });
    assert.deepEqual(fpm.peers, [
      { address: "10.0.0.1", owner: "frr" },
      { address: "10.0.0.2", owner: null },
    ]);
    assert.deepEqual([...fpm.tables], [[1, 2]]);
  });

  it("checks the keys of each provider by its kind", () => {
    const text = `
[[provider]]
kind = "record"
paht = "/x"
[[provider]]
kind = "tset"
[[provider]]
[[provider]]
kind = "plugin"
path = "providers/"
threaded = false
memory-limit = "1M"
options = { number = 99999999999999999999 }
[[provider]]
kind = "kernel"
seed = 1
`;
    const kinds = '"kernel", "fpm", "test", "record", "plugin"';
    assert.deepEqual(problemsOf(text), [
      "dplaned.toml:2:1: [[provider]] path: missing; expected an absolute path",
      'dplaned.toml:4:1: [[provider]] paht: unknown key; did you mean "path"?',
      `dplaned.toml:6:1: [[provider]] kind: expected one of ${kinds}, got "tset"`,
      `dplaned.toml:7:1: [[provider]] kind: missing; expected one of ${kinds}`,
      'dplaned.toml:10:1: [[provider]] path: expected a path, absolute or from the folder of the configuration, got "providers/"',
      "dplaned.toml:11:1: [[provider]] threaded: expected true: a plugin always runs in a thread of its own, got false",
      'dplaned.toml:12:1: [[provider]] memory-limit: expected a size such as "256M" or "1G", at least "64M", got "1M"',
      "dplaned.toml:13:1: [[provider]] options: expected a table of what JSON can say, got a table",
      "dplaned.toml:16:1: [[provider]] seed: unknown key",
    ]);
  });

  it("finds a plugin beside the configuration, with the defaults of its limits", () => {
    const [plugin] = loadGood('[[provider]]\nkind = "plugin"\npath = "providers/mine.ts"\n').providers;
    assert.deepEqual(plugin, {
      kind: "plugin",
      name: undefined,
      priority: "post-kernel",
      threaded: true,
      path: join(directory, "providers/mine.ts"),
      options: {},
      failClosed: false,
      timeBudgetMs: 100,
      hangTimeMs: 5000,
      answerTimeMs: 10_000,
      errorBudget: 10,
      memoryLimit: 256 << 20,
      privileged: false,
    });
  });

  it("points at the element of a list", () => {
    assert.deepEqual(problemsOf('[[owner]]\nname = "a"\ntables = [1,\n  0]\n'), [
      "dplaned.toml:4:3: [[owner]] tables: expected a whole number from 1 to 4294967295, got 0",
    ]);
  });

  it("knows where a key outside its section belongs", () => {
    assert.deepEqual(problemsOf('socket = "/x"\n'), [
      "dplaned.toml:1:1: socket: unknown here; it belongs under [daemon]",
    ]);
  });

  it("explains single and double brackets", () => {
    assert.deepEqual(problemsOf('[provider]\nkind = "kernel"\n'), [
      "dplaned.toml:1:1: [provider]: expected [[provider]], with two brackets, got a table",
    ]);
    assert.match(problemsOf("[[daemon]]\n")[0]!, /^dplaned.toml:1:1: \[\[daemon\]\]: .*got a list$/);
  });

  it("refuses two owners or providers of one name", () => {
    assert.deepEqual(problemsOf('[[owner]]\nname = "a"\n[[owner]]\nname = "b"\n[[owner]]\nname = "a"\n'), [
      'dplaned.toml:6:1: [[owner]] name: "a" is used twice',
    ]);
  });

  it("gives the place of what is no TOML", () => {
    const problems = problemsOf("[daemon]\nsocket = \n");
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /^dplaned\.toml:2:\d+: not valid TOML: /);
    assert.match(problemsOf("[a]\n[a]\n")[0]!, /^dplaned\.toml:2:\d+: not valid TOML: /);
  });
});

describe("loadConfig, files", () => {
  const messageOf = (file: string) => {
    const result = loadConfig({ path: file });
    return result.ok ? "ok" : result.problems.map(formatConfigProblem).join("\n");
  };

  it("fails on a missing file that was named", () => {
    const missing = join(directory, "missing.toml");
    assert.equal(messageOf(missing), `${missing}: Cannot read the configuration: ENOENT`);
  });

  it("fails on what is no regular file without opening it", () => {
    assert.equal(messageOf(directory), `${directory}: Cannot read the configuration: EISDIR`);
    assert.equal(messageOf("/dev/zero"), "/dev/zero: Cannot read the configuration: not a regular file");
  });

  it("fails on a file that it may not read", {
    skip: process.getuid?.() === 0 ? "root may read everything" : false,
  }, () => {
    const secret = join(directory, "secret.toml");
    writeFileSync(secret, "");
    chmodSync(secret, 0);
    assert.match(messageOf(secret), /EACCES \(the daemon's user may not read it\)$/);
  });
});

describe("configReference", () => {
  const reference = configReference();

  it("describes every key with its type, and every default as the file would write it", () => {
    for (const key of reference) {
      assert.notEqual(key.type, "", `${key.section} ${key.key} has a type`);
      assert.match(key.description, /\.$/, `${key.section} ${key.key} has a description`);
    }
    assert.deepEqual(
      reference.find(({ key }) => key === "stale-time"),
      {
        section: "[kernel]",
        key: "stale-time",
        type: "duration",
        default: '"120s"',
        environment: "DPLANED_KERNEL_STALE_TIME",
        description:
          "How long routes found in the kernel at start wait for an owner to claim them before they are removed.",
      },
    );
  });

  it("is a configuration itself: a file of all defaults means the same as none", () => {
    let text = "";
    let section = "";
    for (const key of reference.filter(({ section }) => !section.startsWith("[["))) {
      if (key.section !== section) text += `${key.section}\n`;
      section = key.section;
      text += `${key.key} = ${key.default}\n`;
    }
    assert.deepEqual({ ...loadGood(text), path: null }, { ...loadGood(""), path: null });
  });
});

describe("parseDuration", () => {
  it("adds units up and takes nothing without one", () => {
    assert.equal(parseDuration("500ms"), 500);
    assert.equal(parseDuration("120s"), 120_000);
    assert.equal(parseDuration("1h2m3s4ms"), 3_723_004);
    for (const bad of ["", "5", "5 s", "s", "-5s", "1.5s", "5sec", "5S"])
      assert.equal(parseDuration(bad), undefined, bad);
  });
});

describe("parseEndpoint", () => {
  it("reads addresses and host names with a port", () => {
    assert.deepEqual(parseEndpoint("127.0.0.1:0"), { host: "127.0.0.1", port: 0 });
    assert.deepEqual(parseEndpoint("[2001:db8::1]:65535"), { host: "2001:db8::1", port: 65_535 });
    assert.deepEqual(parseEndpoint("fpm.example:2620"), { host: "fpm.example", port: 2620 });
    for (const bad of ["", ":80", "127.0.0.1", "127.0.0.1:65536", "::1:80", "[1.2.3.4]:80", "[zz]:80", "a b:80"]) {
      assert.equal(parseEndpoint(bad), undefined, bad);
    }
  });
});
