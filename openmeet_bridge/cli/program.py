"""The program ``openmeet-bridge``: all its commands."""

from __future__ import annotations

import click

from . import (
    doctor_stream,
    jobs,
    portals,
    presence,
    provision,
    reference,
    running,
    setting_up,
    sync,
    tenants,
    users,
    webhooks,
)
from .exits import EXIT_CODES, Commands


@click.group(
    cls=Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(package_name="openmeet-bridge")
def main() -> None:
    """Streams Matrix rooms to OpenMeet's browsers, as an application service of your homeserver.

    \b
    See it work, with nothing installed but this program and its extra "demo":
      openmeet-bridge demo

    \b
    Set it up with your own homeserver:
      cp config.example.yaml config.yaml          # then fill it in
      openmeet-bridge generate-registration       # then name the file in homeserver.yaml
      openmeet-bridge serve
      openmeet-bridge doctor                      # in another terminal

    \b
    Look after it:
      openmeet-bridge jobs                        # what is pending, and what failed and why
      openmeet-bridge portals list --problem
    """


for _command in (
    setting_up.check_config,
    setting_up.generate_registration,
    setting_up.migrate,
    running.serve,
    running.doctor,
    running.demo,
    running.health,
    tenants.tenants,
    portals.portals,
    users.users,
    jobs.jobs,
    webhooks.webhooks,
    sync.sync,
    provision.provision,
    provision.deprovision,
    reference.openapi,
    reference.reference,
):
    main.add_command(_command)

for _command in (presence.join, presence.kick, presence.release):
    portals.portals.add_command(_command)

running.doctor.add_command(doctor_stream.stream)
