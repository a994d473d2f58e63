# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Run by Alembic: migrates the connection that `migrate` has put into the configuration, in its transaction."""

from __future__ import annotations

from alembic import context

from appliance.ledger import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,  # SQLite cannot change a column in place, so the table is rewritten
)
with context.begin_transaction():
    context.run_migrations()
