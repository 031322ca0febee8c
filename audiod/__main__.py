"""audiod: argv and files to Config to the server; exit codes 0 ended in order, 1 failed, 2 usage."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Sequence

import trio

from audiod import __version__, background, config, log, options, syslog, usage
from audiod.audiotype import ranked
from audiod.errors import AudiodError, ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run audiod with these arguments (those of the process, where there are none)."""
    try:
        return _main(sys.argv[1:] if argv is None else argv, background.wanted(sys.argv[0]))
    except ConfigError as error:
        print(error.line(), file=sys.stderr)
        return error.exit_code
    except AudiodError as error:
        print(f"audiod: {error.line()}", file=sys.stderr)
        return error.exit_code


def _main(argv: Sequence[str], as_sndiod: bool) -> int:
    opts = options.parse(argv, config.default_device())
    if opts.help:
        print(usage.USAGE, end="")
        return 0
    if opts.version:
        print(f"audiod {__version__}")
        return 0
    log.setup(opts.log_level or ("warning" if opts.demo else "info"))
    if opts.demo:
        from audiod import demo

        return demo.main(opts.demo_file)
    conf = config.load(opts, os.environ, os.geteuid())
    if opts.check:
        print(describe(conf))
        print("ok")
        return 0
    log.setup(conf.log_level)
    behind = background.detach() if as_sndiod and not opts.debug else None
    _raise_nofile()
    if conf.files:
        log.get().info("config.read", files=" ".join(conf.files))
    if "device.0.spec" not in conf.origins:
        log.get().info("config.default_device", device=conf.devices[0].text, reason="no device is configured")
    return _serve(conf, behind)


def _serve(conf: config.Config, behind: background.Background | None) -> int:
    from audiod import server
    from audiod.engine import EngineError

    def quietly() -> None:
        journal = log.is_journal(sys.stderr)
        if not journal:
            log.setup(conf.log_level, stream=syslog.Syslog(), numbered=True)
        assert behind is not None
        behind.ready(keep_stderr=journal)

    try:
        trio.run(server.run, conf, None if behind is None else quietly)
    except EngineError as error:
        print(f"audiod: the engine cannot start: {error.strerror}", file=sys.stderr)
        return 1
    for number in server.SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # it has ended in order: that shall be its exit status, too
    return 0


def describe(conf: config.Config) -> str:
    """What a server with this configuration would do, a line each."""
    lines = [f"file {name}" for name in conf.files]
    lines.append(f"unit {conf.unit}, socket {conf.listen.path}")
    lines.append(f"sndio socket {'none' if conf.sndio is None else conf.sndio.path}, share {conf.share}")
    lines += [f"TCP port {conf.port} of {host}" for host in conf.tcp]
    if "midi.ports" in conf.origins:
        lines += [f"MIDI port {number}: {port.text}" for number, port in enumerate(conf.ports)]
    for device in conf.devices:
        fmt = device.format
        lines.append(
            f"device {device.number}: {device.text}: {fmt.mode}, {fmt.enc}, {fmt.rate} Hz, "
            f"round {fmt.round}, bufsz {fmt.bufsz} frames, {fmt.play} play and {fmt.rec} rec channels"
        )
        if device.alternates:
            lines.append(f"  in its place: {', '.join(f'device {number}' for number in device.alternates)}")
        for sub in conf.subdevices:
            if sub.device == device.number:
                lines.append(
                    f"  snd/{sub.name}: {sub.mode}, play {sub.pmin}:{sub.pmax}, rec {sub.rmin}:{sub.rmax}, "
                    f"volume {sub.maxvol}, join {'on' if sub.join else 'off'}"
                    + (f", type {sub.type}" if sub.type else "")
                    + (", waits for MMC" if sub.mmc else "")
                )
    if conf.policy is not None:
        lines.append(f"ducking: {ranked(conf.policy)}")
    lines += [f"  program {rule.name}: {rule.type}" for rule in conf.programs]
    return "\n".join(lines)


def _raise_nofile() -> None:
    """As many descriptors as the system allows: a connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
