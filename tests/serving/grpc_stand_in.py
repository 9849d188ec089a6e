"""The gRPC API of the stand-in: PredictionService.Predict, with the messages of the package tensorflow-serving-api."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pipeline.proof.c_api import CApiError
from tests.serving.stand_in import Model


def predict(request: Any, models: Mapping[str, Model]) -> Any:
    """Returns the PredictResponse to a PredictRequest: all outputs of the signature, or those of its filter.

    Raises:
        KeyError: when there is no such model, signature or output.
        CApiError: says what TensorFlow refuses.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    name, signature = request.model_spec.name, request.model_spec.signature_name or "serving_default"
    inputs = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
    assert inputs.keys() == models[name].signatures[signature].inputs.keys()
    outputs = models[name].run(signature, inputs)
    response = predict_pb2.PredictResponse()
    for key in request.output_filter or outputs:
        response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
    return response


@contextmanager
def grpc_stand_in(models: Mapping[str, Model]) -> Iterator[str]:
    """Serves models on a free port; yields the address, such as 127.0.0.1:8500."""
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
            try:
                return predict(request, models)
            except (KeyError, CApiError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
