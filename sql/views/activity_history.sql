create view dbre.activity_history as
select * from dbre.activity_history();
