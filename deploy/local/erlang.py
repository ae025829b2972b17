"""With what Erlang is started for a private RabbitMQ. Standard library only."""

# Schedulers beyond two only cost memory. Loopback as the interface also covers what Erlang opens
# besides AMQP.
FLAGS = "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
# RabbitMQ needs every module of its applications before it boots, and by itself loads one after the
# other: a start then takes 3 s of CPU instead of 2. A node in which this fails is only slower. It
# starts other Erlang programs, which inherit this; they boot from another file than start_sasl.
LOAD_AT_ONCE = (
    "-eval 'case init:get_argument(boot) of "
    '{ok, [["start_sasl"]]} -> '
    "Modules = fun M([]) -> []; M([App | More]) -> "
    "_ = application:load(App), "
    "{ok, Own} = application:get_key(App, modules), "
    "{ok, Needed} = application:get_key(App, applications), "
    "Own ++ M(Needed) ++ M(More) end, "
    "catch code:ensure_modules_loaded(lists:usort(Modules([rabbit, rabbitmq_prelaunch]))); "
    "_ -> ok end.'"
)
