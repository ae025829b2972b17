"""Fields of forms: bounded, whatever is sent."""

from hypothesis import given
from hypothesis import strategies as st

from relay.vendors.kit.forms import MAX_FORM_FIELDS, form_fields, multipart_fields


@given(text=st.text(st.characters()) | st.text("a=&%+;\x00", max_size=300))
def test_any_text_is_a_form_of_bounded_size(text: str) -> None:
    assert len(form_fields(text)) <= MAX_FORM_FIELDS


def test_a_form_of_several_parts_has_the_fields_of_its_parts() -> None:
    body = b"".join(
        b'--b0\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % field
        for field in [(b"token", b"tok-1"), (b"a", b"\xc3\xa9"), (b"token", b"")]
    )

    fields = multipart_fields("multipart/form-data; boundary=b0", body + b"--b0--")

    assert fields == [("token", "tok-1"), ("a", "é"), ("token", "")]
    assert multipart_fields("multipart/form-data", body) == []


@given(body=st.lists(st.sampled_from([b"--b", b"\r\n\r\n", b"name=", b"x"]), max_size=300))
def test_any_body_is_a_form_of_few_parts(body: list[bytes]) -> None:
    fields = multipart_fields("multipart/form-data; boundary=b", b"".join(body))

    assert len(fields) < MAX_FORM_FIELDS
