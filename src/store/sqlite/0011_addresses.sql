-- At one address an id is one job, whatever key was shown for it: the first sixteen digits of an account are its address.
DROP INDEX attempts_upstream;
CREATE UNIQUE INDEX attempts_upstream ON attempts (route, upstream_id, substr(coalesce(account, ''), 1, 16)) WHERE upstream_id IS NOT NULL;
