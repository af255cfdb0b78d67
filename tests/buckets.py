"""Looks into a server as its owner: which buckets there are and what is in them."""

import time
import xml.etree.ElementTree as ET

from conformance.play import Scene, assemble
from conformance.target import load_target
from conformance.transport import open_transport
from conformance.vocabulary import BodySpec, RequestTemplate


class Account:
    """The owner's account of a target file."""

    def __init__(self, target_file):
        self.target = load_target(target_file)
        self.transport = open_transport(self.target)

    def close(self):
        self.transport.close()

    def send(self, method, bucket="", name=None, query=(), body=None):
        scene = Scene(self.target, bucket, "", time.time, {})
        template = RequestTemplate(method, bucket, name, query, body=BodySpec("body") if body is not None else None)
        response = self.transport.exchange(assemble(template, scene, scene.values(), body)).response
        assert response is not None
        return response

    def buckets(self):
        return {element.text for element in ET.fromstring(self.send("GET").body).iter() if element.tag.endswith("Name")}

    def objects(self, bucket):
        return {
            element.text
            for element in ET.fromstring(self.send("GET", bucket).body).iter()
            if element.tag.rpartition("}")[2] == "Key"
        }

    def make(self, bucket, *names):
        assert self.send("PUT", bucket).status == 200
        for name in names:
            assert self.send("PUT", bucket, name, body=b"decoy").status == 200
