-- The schema of the Chinook sample database for PostgreSQL, and a few of its rows: somebody else's application, to put
-- the feed into. https://github.com/lerocha/chinook-database
--
-- Copyright (c) 2008-2017 Luis Rocha
--
-- Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
-- documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
-- rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
-- persons to whom the Software is furnished to do so, subject to the following conditions:
--
-- The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
-- Software.
--
-- THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
-- WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
-- COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
-- OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

create table artist (artist_id int primary key, name varchar(120));
create table genre (genre_id int primary key, name varchar(120));
create table media_type (media_type_id int primary key, name varchar(120));
create table playlist (playlist_id int primary key, name varchar(120));
create table album (
  album_id int primary key,
  title varchar(160) not null,
  artist_id int not null references artist
);
create table employee (
  employee_id int primary key,
  last_name varchar(20) not null,
  first_name varchar(20) not null,
  title varchar(30),
  reports_to int references employee,
  birth_date timestamp,
  hire_date timestamp,
  address varchar(70),
  city varchar(40),
  state varchar(40),
  country varchar(40),
  postal_code varchar(10),
  phone varchar(24),
  fax varchar(24),
  email varchar(60)
);
create table customer (
  customer_id int primary key,
  first_name varchar(40) not null,
  last_name varchar(20) not null,
  company varchar(80),
  address varchar(70),
  city varchar(40),
  state varchar(40),
  country varchar(40),
  postal_code varchar(10),
  phone varchar(24),
  fax varchar(24),
  email varchar(60) not null,
  support_rep_id int references employee
);
create table track (
  track_id int primary key,
  name varchar(200) not null,
  album_id int references album,
  media_type_id int not null references media_type,
  genre_id int references genre,
  composer varchar(220),
  milliseconds int not null,
  bytes int,
  unit_price numeric(10, 2) not null
);
create table playlist_track (
  playlist_id int references playlist,
  track_id int references track,
  primary key (playlist_id, track_id)
);
create table invoice (
  invoice_id int primary key,
  customer_id int not null references customer,
  invoice_date timestamp not null,
  billing_address varchar(70),
  billing_city varchar(40),
  billing_state varchar(40),
  billing_country varchar(40),
  billing_postal_code varchar(10),
  total numeric(10, 2) not null
);
create table invoice_line (
  invoice_line_id int primary key,
  invoice_id int not null references invoice,
  track_id int not null references track,
  unit_price numeric(10, 2) not null,
  quantity int not null
);

insert into artist values (1, 'AC/DC'), (2, 'Accept');
insert into genre values (1, 'Rock'), (2, 'Jazz');
insert into media_type values (1, 'MPEG audio file');
insert into playlist values (1, 'Music'), (2, 'Movies');
insert into album values (1, 'For Those About To Rock We Salute You', 1), (2, 'Balls to the Wall', 2), (3, 'Restless and Wild', 2);
insert into track values
  (1, 'For Those About To Rock (We Salute You)', 1, 1, 1, 'Angus Young, Malcolm Young, Brian Johnson', 343719, 11170334, 0.99),
  (2, 'Balls to the Wall', 2, 1, 1, null, 342562, 5510424, 0.99);
insert into playlist_track values (1, 1), (1, 2);
