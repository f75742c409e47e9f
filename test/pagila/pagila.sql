-- A schema like Pagila, the DVD rental of the PostgreSQL project's example: enums, domains, arrays, triggers, views,
-- composite keys, and partitions. Written for the tests.

create type mpaa_rating as enum ('G', 'PG', 'PG-13', 'R', 'NC-17');
create domain year as integer constraint year_check check (value between 1901 and 2155);
create domain film_code as text check (value ~ '^[A-Z]{2}-[0-9]+$');

create function last_updated() returns trigger language plpgsql as $$
begin
  new.last_update = current_timestamp;
  return new;
end $$;

create table language (language_id serial primary key, name char(20) not null);
create table actor (
  actor_id serial primary key, first_name text not null, last_name text not null, last_update timestamptz not null default now());
create table film (
  film_id serial primary key,
  code film_code unique,
  title text not null,
  release_year year,
  language_id int not null references language,
  rental_rate numeric(4, 2) not null default 4.99,
  rating mpaa_rating default 'G',
  special_features text[],
  fulltext tsvector,
  last_update timestamptz not null default now());
create index film_fulltext_idx on film using gist (fulltext);
create trigger film_fulltext_trigger before insert or update on film
  for each row execute function tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title');
create table film_actor (
  actor_id int not null references actor on delete cascade, film_id int not null references film on delete cascade,
  last_update timestamptz not null default now(), primary key (actor_id, film_id));
create table rating_note (rating mpaa_rating, since year, note text, primary key (rating, since));
create table store (store_id serial primary key);
create table customer (
  customer_id serial primary key, store_id int not null references store, email text, active boolean not null default true,
  create_date date not null default current_date, last_update timestamptz not null default now());
create table inventory (
  inventory_id serial primary key, film_id int not null references film, store_id int not null references store);
create table rental (
  rental_id bigint generated always as identity primary key, inventory_id int not null references inventory,
  customer_id int not null references customer, period tstzrange);
create table payment (
  payment_id bigint generated always as identity, customer_id int not null references customer, rental_id bigint,
  amount numeric(5, 2) not null, payment_date date not null, primary key (payment_date, payment_id)
) partition by range (payment_date);
create table payment_p2022_01 partition of payment for values from ('2022-01-01') to ('2022-02-01');
create table payment_p2022_02 partition of payment for values from ('2022-02-01') to ('2022-03-01');
create table film_audit (film_id int not null, title text, at timestamptz not null default now());

create function audit_film() returns trigger language plpgsql as $$
begin
  insert into film_audit (film_id, title) values (new.film_id, new.title);
  return null;
end $$;
create trigger audit_film after update of title on film for each row execute function audit_film();
do $$
declare
  name text;
begin
  foreach name in array array['actor', 'film', 'film_actor', 'customer'] loop
    execute format('create trigger last_updated before update on %I for each row execute function last_updated()', name);
  end loop;
end $$;

create view customer_list as select customer_id, email from customer where active;
create materialized view rental_by_film as
  select film_id, count(*) as rentals from inventory join rental using (inventory_id) group by film_id;
create function film_in_stock(wanted int, store int) returns setof int language sql as $$
  select inventory_id from inventory where film_id = wanted and store_id = store
$$;

insert into language (name) values ('English'), ('German');
insert into actor (first_name, last_name) values ('PENELOPE', 'GUINESS'), ('NICK', 'WAHLBERG');
insert into film (title, code, language_id, release_year, special_features)
  values ('ACADEMY DINOSAUR', 'AD-1', 1, 2006, '{Trailers}'), ('ACE GOLDFINGER', 'AG-2', 1, 2006, '{}');
insert into film_actor (actor_id, film_id) values (1, 1), (1, 2), (2, 1);
insert into store default values;
insert into store default values;
insert into customer (store_id, email) values (1, 'mary@example.org'), (2, 'patricia@example.org');
insert into inventory (film_id, store_id) values (1, 1), (1, 2), (2, 1);
