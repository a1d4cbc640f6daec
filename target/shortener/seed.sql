-- 100,000 hot URLs for the load, and 300,000 cold ones that only canaries read, each once.
INSERT INTO urls (code, long_url)
SELECT code, 'https://example.com/' || code
FROM (SELECT 'h' || lpad(i::text, 6, '0') AS code FROM generate_series(0, 99999) i
      UNION ALL
      SELECT 'c' || lpad(i::text, 6, '0') FROM generate_series(0, 299999) i) AS seeded;
ANALYZE urls;
