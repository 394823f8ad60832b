-- A migration as `alembic upgrade 41aa:5b2c --sql` prints it, with much that should not reach production as it is.
BEGIN;

-- Running upgrade 41aa -> 5b2c

ALTER TABLE app.atoms ADD COLUMN public_id UUID DEFAULT gen_random_uuid() NOT NULL;

CREATE INDEX comments_created_at_idx ON app.comments (created_at);

ALTER TABLE app.atoms ALTER COLUMN confidence TYPE FLOAT;

ALTER TABLE app.classifications ADD CONSTRAINT classifications_rationale_length CHECK (length(rationale) < 2000);

CREATE TABLE app.labels (
    id SERIAL PRIMARY KEY,
    tenant_id BIGINT NOT NULL REFERENCES app.tenants (id),
    name CHAR(20) NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE
);

UPDATE app.background_jobs SET attempts = 0;

ALTER TABLE app.users RENAME COLUMN display_name TO name;

DROP TABLE app.webhook_deliveries;

COMMIT;
