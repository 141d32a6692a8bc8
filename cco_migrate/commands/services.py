"""One function per task on a gateway or the demo deployment: start, stop, replace its workers."""

from __future__ import annotations

from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.drivers import adopted, driver_of
from cco_migrate.errors import InvalidInput
from cco_migrate.session import Result, Session, shown
from cco_migrate.steps.services import await_answer, await_ready, current_workers, replace_workers


def gateway_start(session: Session) -> Result:
    """Start the gateway of the target."""
    instance = session.instance()
    context = session.context(instance)
    driver = driver_of(context)
    if (found := driver.find()) is not None:
        return Result(f"it runs already: {found}")
    if (found := adopted(context, driver.find)) is not None:
        await_answer(context)
        return Result(f"it runs already, started by a command that was killed: {found}")
    await_ready(context, driver.start())
    return Result(f"started: {driver.find()} on {instance.url}")


def gateway_stop(session: Session) -> Result:
    """Stop the gateway of the target after its streams have ended."""
    context = session.context(session.instance())
    driver = driver_of(context)
    found = driver.find() or adopted(context, driver.find)
    return Result(f"stopped: {driver.stop(600)}" if found else "nothing of ours runs")


def gateway_reload(session: Session) -> Result:
    """Load the files as they are now, by replacing the workers while the socket stays open."""
    context = session.context(session.instance())
    try:
        found = current_workers(context)
    except (Unreachable, NotAGateway) as error:
        raise InvalidInput(str(error), next_command="invoke gateway.start") from error
    if found is None:
        raise InvalidInput(
            "this gateway cannot replace its workers; restart it with its own command"
        )
    return Result(replace_workers(context, found.generation).summary)


def demo_up(session: Session) -> Result:
    """Create and start the demo deployment."""
    demo = Demo(DIRECTORY, session.world)
    demo.up(session.out.waiting, session.out.say)
    return Result(f"demo: gateway {demo.instance().url}, state root {shown(demo.home)}")


def demo_down(session: Session) -> Result:
    """Stop the demo deployment."""
    Demo(DIRECTORY, session.world).down(session.out.say)
    return Result("demo stopped")
