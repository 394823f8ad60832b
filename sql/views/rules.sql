create view dbre.rules as
select * from dbre.rules();
