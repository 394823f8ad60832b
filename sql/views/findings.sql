create view dbre.findings as
select * from dbre.check();
