-- description: Clients that match some words, the best match first.
-- param q text -- words as in a web search: emma brown, emma or olivia, brown -emma
-- param limit int = 20 -- at most 100
SELECT c.id, c.first_name, c.last_name, c.email, c.phone, c.status, c.tags,
       ts_rank_cd(c.search, websearch_to_tsquery('simple', :q)) AS rank
FROM api.clients c
WHERE c.search @@ websearch_to_tsquery('simple', :q)
ORDER BY rank DESC, c.id
LIMIT least(:limit, 100)
