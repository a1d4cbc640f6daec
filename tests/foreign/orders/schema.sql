create table orders (
  id bigint generated always as identity primary key,
  token text not null unique,
  shipped boolean not null default false
);
