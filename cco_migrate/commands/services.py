"""One function per task on a gateway or the demo deployment: start, stop, replace its workers."""

from __future__ import annotations

from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.demo import DIRECTORY, Demo
from cco_migrate.drivers import adopted, driver_of
from cco_migrate.errors import InvalidInput, ToolkitError
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
    try:
        await_ready(context, driver.start())
    except ToolkitError as error:
        raise _not_started(context, error) from error
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
        listed = context.gateway.workers()
    except (Unreachable, NotAGateway) as error:
        raise InvalidInput(str(error), next_command="invoke gateway.start") from error
    if listed is None or context.instance.driver.kind != "process":
        raise InvalidInput(
            "this gateway cannot replace its workers; restart it with its own command"
        )
    if not (driver := driver_of(context)).can_replace():
        raise InvalidInput(
            f"{context.instance.url} answers, but it is not the gateway of "
            f"{context.instance.home}: no process that runs is recorded there",
            next_command="the same command with its state root: --home PATH",
        )
    try:
        now = current_workers(context)
        return Result(replace_workers(context, now.generation if now else 0).summary)
    except InvalidInput as error:
        again = "mend what it names, then: invoke gateway.reload"
        raise InvalidInput(str(error), state=error.state, next_command=again) from error
    except ToolkitError as error:
        raise ToolkitError(
            str(error), state=_standing(driver.find()), next_command="invoke gateway.reload"
        ) from error


def _not_started(context: Context, error: ToolkitError) -> ToolkitError:
    """Return why a gateway did not start, with what runs now and what to type next."""
    found = driver_of(context).find()
    first = "invoke gateway.stop" if found else "mend what it names"
    kind = InvalidInput if isinstance(error, InvalidInput) else ToolkitError
    return kind(
        str(error), state=_standing(found), next_command=f"{first}, then the same command again"
    )


def _standing(found: str | None) -> str:
    """Return whether the gateway runs, as a sentence; None is for one that does not."""
    return f"The gateway runs: {found}." if found else "The gateway does not run."


def demo_up(session: Session) -> Result:
    """Create and start the demo deployment."""
    demo = Demo(DIRECTORY, session.world)
    demo.up(session.out.waiting, session.out.say)
    return Result(f"demo: gateway {demo.instance().url}, state root {shown(demo.home)}")


def demo_down(session: Session) -> Result:
    """Stop the demo deployment."""
    Demo(DIRECTORY, session.world).down(session.out.say)
    return Result("demo stopped")
