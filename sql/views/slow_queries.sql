create view dbre.slow_queries as
select * from dbre.slow_queries();
