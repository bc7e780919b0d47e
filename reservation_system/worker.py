"""The worker's consumer, as Celery has it but for one step."""

from celery.worker import consumer

# It declares 28 queues for tasks with a countdown, of which there are none here.
LEFT_OUT = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Consumer(consumer.Consumer):
    class Blueprint(consumer.Consumer.Blueprint):
        default_steps = [
            step for step in consumer.Consumer.Blueprint.default_steps if step != LEFT_OUT
        ]
