"""Commands that print what the program knows of itself."""

from __future__ import annotations

import click

from .. import config as configuration


@click.command()
def openapi() -> None:
    """Print the web API's OpenAPI 3.1 document.

    \b
    Example:
      openmeet-bridge openapi > openapi.json
    """
    from ..api.openapi import document_json

    click.echo(document_json().rstrip("\n"))


@click.group(hidden=True)
def reference() -> None:
    """Print generated files: `make docs-reference` writes them, a test compares them."""


@reference.command("configuration")
def reference_configuration() -> None:
    """docs/reference/configuration.md"""
    click.echo(configuration.reference(), nl=False)


@reference.command("config-example")
def reference_config_example() -> None:
    """config.example.yaml"""
    click.echo(configuration.example(), nl=False)


@reference.command("registration-example")
def reference_registration_example() -> None:
    """registration.yaml.example"""
    from ..matrix.registration import example

    click.echo(example(), nl=False)


@reference.command("cli")
def reference_cli() -> None:
    """docs/reference/cli.md"""
    from .page import cli_page

    click.echo(cli_page(), nl=False)


@reference.command("api")
def reference_api() -> None:
    """docs/reference/api.md"""
    from ..api.reference import http_page

    click.echo(http_page(), nl=False)


@reference.command("streams")
def reference_streams() -> None:
    """docs/reference/streams.md"""
    from ..api.reference import streams_page

    click.echo(streams_page(), nl=False)


@reference.command("errors")
def reference_errors() -> None:
    """docs/reference/errors.md"""
    from ..api.reference import errors_page

    click.echo(errors_page(), nl=False)


@reference.command("metrics")
def reference_metrics() -> None:
    """docs/reference/metrics.md"""
    from ..api.reference import metrics_page

    click.echo(metrics_page(), nl=False)
