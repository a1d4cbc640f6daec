CREATE TABLE urls (
  id              bigint GENERATED ALWAYS AS IDENTITY,
  code            text PRIMARY KEY,
  long_url        text NOT NULL,
  idempotency_key text UNIQUE,
  created_at      timestamptz NOT NULL DEFAULT now(),
  expires_at      timestamptz
);

-- No foreign key: a click must not be lost because its URL was deleted meanwhile.
CREATE TABLE click_counts (
  code   text PRIMARY KEY,
  clicks bigint NOT NULL
);

-- Batches that were counted already: the stream delivers at least once, the table counts once.
-- The worker deletes what is older than a day.
CREATE TABLE click_batches (
  id        text PRIMARY KEY,
  stored_at timestamptz NOT NULL DEFAULT now()
);
