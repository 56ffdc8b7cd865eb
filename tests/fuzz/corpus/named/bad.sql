-- param a int = 
-- roll: x
SELECT :a