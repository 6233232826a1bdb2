-- What a Prisma schema cannot say: the view behind AuthorStats, and a column stricter than its model (P2011).
CREATE VIEW author_stats AS
  SELECT author_id, count(*)::int AS posts, coalesce(sum(views), 0)::int AS views FROM posts GROUP BY author_id;
ALTER TABLE samples ALTER COLUMN required SET DEFAULT 'given', ALTER COLUMN required SET NOT NULL;
