"""What tests of the explorer's session have in common."""

EDS = {"cluster.n_init": 2}
NUMBER = {"eds": 4, "diffraction": 6, "domains": 5}
SMALL = {"eds": (18, 21), "diffraction": (10, 12), "domains": (160, 200)}


def at_once(call):
    call()


def finished(explorer):
    for jobs in (explorer.jobs, explorer.background):
        assert jobs.wait(300)
    assert explorer.message.kind != "error", explorer.message.text
    return explorer


def opened(session, signals, name, *, settings=None):
    """Open a sample as a file, and run its recipe."""
    signals[name].save(session.root / f"{name}.hspy", overwrite=True)
    session.open_path(f"{name}.hspy")
    finished(session)
    session.choose(name)
    session.change({"cluster.n_clusters": NUMBER[name], **(settings or {})})
    session.run()
    return finished(session)
