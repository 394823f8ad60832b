create view dbre.n_plus_one_bursts as
select * from dbre.n_plus_one_bursts();
