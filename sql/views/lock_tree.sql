create view dbre.lock_tree as
select * from dbre.lock_tree();
