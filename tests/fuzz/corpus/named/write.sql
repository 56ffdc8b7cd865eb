-- method: POST
-- param a int
INSERT INTO t VALUES (:a) RETURNING "a:b";