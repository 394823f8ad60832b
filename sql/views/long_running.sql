create view dbre.long_running as
select * from dbre.long_running();
