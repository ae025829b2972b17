-- Run once, when the database is made: the role of the console's search, which may only read.
\set password `cat /run/secrets/console_postgres`
CREATE ROLE console LOGIN PASSWORD :'password';
ALTER DEFAULT PRIVILEGES FOR ROLE archive GRANT SELECT ON TABLES TO console;
