"""Who may put and delete objects in a namespace, and who may say so?"""

from typing import Any

import msgspec
import pytest
from tests.kube import deployment

from corral.engine.engine import Engine
from corral.model.cluster import ClusterConfig, KubernetesConfig
from corral.model.kube.config import ConfigMap, Namespace
from corral.model.kube.meta import ObjectKey, ObjectMeta
from corral.model.kube.objects import AnyObject
from corral.model.kube.pod import Pod, PodSpec
from corral.model.kube.rbac import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    ServiceAccount,
    Subject,
)
from corral.protocol.replies import ObjectsPut, Rejected
from corral.protocol.requests import Caller, DeleteObjects, PutObjects
from corral.services.rights import Who, allows_path

ANN = Caller(uid=1000, gid=1000, user="ann", group="ann")
BOB = Caller(uid=1001, gid=1001, user="bob", group="bob", groups=("bob", "web"))
EVE = Caller(uid=1002, gid=1002, user="eve", group="eve")
ROOT = Caller(uid=0, gid=0, user="root", group="root", role="administrator")


class World:
    def __init__(self, authorization: Any = "open") -> None:
        self.engine = Engine(ClusterConfig(kubernetes=KubernetesConfig(authorization=authorization)))

    def put(self, one: AnyObject, who: Caller) -> str:
        """Why not, or ""."""
        reply = self.engine.handle(PutObjects(objects=(one,)), 10.0, who).reply
        return reply.error if isinstance(reply, Rejected) else ""

    def delete(self, one: AnyObject, who: Caller) -> str:
        reply = self.engine.handle(DeleteObjects(keys=(one.key,)), 10.0, who).reply
        assert isinstance(reply, Rejected | ObjectsPut)
        return reply.error if isinstance(reply, Rejected) else ""

    def creator(self, one: AnyObject) -> str:
        found = self.engine.state.objects.get(one.key)
        assert found is not None
        assert found.creator is not None
        return found.creator.user


def meta(name: str, namespace: str = "shop") -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace)


def config(name: str = "c", namespace: str = "shop", **data: str) -> ConfigMap:
    return ConfigMap(metadata=meta(name, namespace), data=data)


def binding(role: str, *names: str, kind: str = "User", of: str = "ClusterRole", name: str = "") -> RoleBinding:
    subjects = tuple(Subject(kind=kind, name=one) for one in names)
    return RoleBinding(
        metadata=meta(name or f"{role}-{'-'.join(names)}"), role_ref=RoleRef(kind=of, name=role), subjects=subjects
    )


def rule(*verbs: str, on: str = "configmaps", names: tuple[str, ...] = ()) -> PolicyRule:
    return PolicyRule(verbs=verbs, api_groups=("",), resources=(on,), resource_names=names)


SHOP = Namespace(metadata=ObjectMeta(name="shop"))


@pytest.fixture
def shop() -> World:
    """Ann's namespace, which nobody is bound in."""
    world = World()
    assert world.put(SHOP, ANN) == ""
    return world


def test_where_nobody_is_bound_everybody_makes_objects_and_changes_his_own(shop: World) -> None:
    assert shop.put(config("b"), BOB) == ""
    assert shop.put(config("b", a="1"), EVE) == "configmap 'b' is not yours"
    assert shop.delete(config("b"), EVE) == "configmap 'b' is not yours"


def test_the_first_binding_closes_a_namespace_to_who_is_not_bound(shop: World) -> None:
    assert shop.put(binding("edit", "bob"), ANN) == ""
    assert shop.put(config("b"), BOB) == ""
    assert shop.put(config("b", a="1"), ANN) == ""  # whose namespace it is
    told = 'User "eve" cannot create resource "configmaps" in API group "" in the namespace "shop"'
    assert shop.put(config("e"), EVE) == told
    assert "cannot delete" in shop.delete(config("b"), EVE)
    assert shop.put(config("e", "default"), EVE) == ""  # the others stay as they are


def test_viewers_change_nothing_and_members_of_a_group_are_meant(shop: World) -> None:
    shop.put(binding("view", "eve"), ANN)
    shop.put(binding("edit", "web", kind="Group"), ANN)
    assert shop.put(config("b"), BOB) == ""
    assert "cannot create" in shop.put(config("e"), EVE)


def test_what_a_member_makes_anothers_pods_do_runs_as_himself(shop: World) -> None:
    """So that nobody's programs become another user's."""
    shop.put(binding("edit", "bob", "eve"), ANN)
    web = msgspec.structs.replace(deployment(), metadata=meta("web"))
    shop.put(web, BOB)
    shop.put(msgspec.structs.replace(web, spec=msgspec.structs.replace(web.spec, replicas=7)), EVE)
    assert shop.creator(web) == "bob"
    newer = msgspec.structs.replace(deployment(image="v2"), metadata=meta("web"))
    shop.put(newer, EVE)
    assert shop.creator(web) == "eve"
    shop.put(web, ROOT)
    assert shop.creator(web) == "eve"


def test_who_has_put_objects_into_an_open_namespace_is_not_closed_in(shop: World) -> None:
    shop.put(config("b"), BOB)
    assert shop.put(binding("admin", "eve"), ANN) == "others have objects in it: bob"
    assert shop.put(binding("admin", "eve"), ROOT) == ""


def test_only_whose_namespace_it_is_or_an_admin_binds(shop: World) -> None:
    assert "cannot create" in shop.put(binding("view", "bob"), BOB)
    shop.put(binding("edit", "bob"), ANN)
    assert 'cannot create resource "rolebindings"' in shop.put(binding("edit", "eve"), BOB)
    shop.put(binding("admin", "bob"), ANN)
    assert shop.put(binding("edit", "eve"), BOB) == ""


def test_nobody_grants_what_he_has_not(shop: World) -> None:
    shop.put(binding("admin", "bob"), ANN)
    assert "grant RBAC permissions not currently held" in shop.put(binding("cluster-admin", "bob", name="more"), BOB)
    anything = Role(metadata=meta("all"), rules=(PolicyRule(verbs=("*",), api_groups=("*",), resources=("*",)),))
    assert "not currently held" in shop.put(anything, BOB)
    assert shop.put(Role(metadata=meta("some"), rules=(rule("get", "update", names=("c",)),)), BOB) == ""
    assert 'roles.rbac.authorization.k8s.io "none" not found' in shop.put(binding("none", "eve", of="Role"), BOB)


def test_a_role_names_objects(shop: World) -> None:
    shop.put(Role(metadata=meta("one"), rules=(rule("create", "update", names=("c",)),)), ANN)
    shop.put(binding("one", "eve", of="Role"), ANN)
    assert shop.put(config("c"), EVE) == ""
    assert "cannot create" in shop.put(config("d"), EVE)
    assert "cannot delete" in shop.delete(config("c"), EVE)


def test_roles_of_the_whole_cluster_are_an_operators_to_give(shop: World) -> None:
    everywhere = ClusterRoleBinding(
        metadata=ObjectMeta(name="b"),
        role_ref=RoleRef(kind="ClusterRole", name="edit"),
        subjects=(Subject(kind="User", name="bob"),),
    )
    assert "at the cluster scope" in shop.put(everywhere, ANN)
    assert "at the cluster scope" in shop.put(ClusterRole(metadata=ObjectMeta(name="r"), rules=()), ANN)
    assert shop.put(everywhere, ROOT) == ""
    shop.put(binding("view", "eve"), ANN)
    assert shop.put(config("b"), BOB) == ""
    assert "always there" in shop.put(ClusterRole(metadata=ObjectMeta(name="edit"), rules=()), ROOT)


def test_with_rbac_nobody_does_anything_without_a_role() -> None:
    world = World("rbac")
    assert "cannot create" in world.put(config("c", "default"), ANN)
    assert 'cannot create resource "namespaces"' in world.put(SHOP, ANN)
    world.put(SHOP, ROOT)
    world.put(binding("edit", "ann"), ROOT)
    assert world.put(config("c"), ANN) == ""
    assert world.engine.state.objects.get(ObjectKey("ConfigMap", "shop", "c")) is not None
    world.delete(binding("edit", "ann"), ROOT)
    world.engine.tick(11.0)
    assert "cannot patch" in world.put(config("c", a="1"), ANN) or "cannot update" in world.put(config("c", a="1"), ANN)


# ---------------------------------------------------------------------- ServiceAccounts


def asks_as(account: str, who: Caller) -> Caller:
    """The program of a Pod of this user's."""
    return msgspec.structs.replace(who, account=account)


def bound(role: str, account: str, name: str = "bound") -> RoleBinding:
    """`account`: NAMESPACE:NAME"""
    namespace, _, called = account.partition(":")
    subject = Subject(kind="ServiceAccount", name=called, namespace=namespace)
    return RoleBinding(metadata=meta(name), role_ref=RoleRef(kind="ClusterRole", name=role), subjects=(subject,))


def test_an_account_has_the_rights_of_its_roles_and_no_others(shop: World) -> None:
    robot = asks_as("shop:robot", ANN)
    shop.put(ServiceAccount(metadata=meta("robot")), ANN)
    told = 'User "system:serviceaccount:shop:robot" cannot create resource "configmaps" in API group "" in the namespace "shop"'
    assert shop.put(config("c"), robot) == told  # though it is Ann's namespace, and an open one
    shop.put(bound("edit", "shop:robot"), ANN)
    assert shop.put(config("c"), robot) == ""
    assert shop.creator(config("c")) == "ann"
    assert "cannot create" in shop.put(config("c", "default"), robot)
    assert "cannot create" in shop.put(config("d"), asks_as("shop:other", ANN))


def test_what_is_bound_to_accounts_alone_closes_no_namespace(shop: World) -> None:
    shop.put(bound("edit", "shop:robot"), ANN)
    assert shop.put(config("e"), EVE) == ""
    shop.put(binding("view", "bob"), ROOT)
    assert "cannot create" in shop.put(config("f"), EVE)


def test_an_account_of_another_users_is_none_of_ones_own_where_nobody_is_bound(shop: World) -> None:
    shop.put(ServiceAccount(metadata=meta("robot")), ANN)
    mine = Pod(metadata=meta("p"), spec=PodSpec(containers=(), service_account_name="robot"))
    assert shop.put(mine, ANN) == ""
    others = msgspec.structs.replace(mine, metadata=meta("q"))
    assert shop.put(others, EVE).startswith("service account shop/robot is another user's")
    shop.put(binding("edit", "eve"), ROOT)
    assert shop.put(others, EVE) == ""
    absent = Pod(metadata=meta("r"), spec=PodSpec(containers=(), service_account_name="none"))
    assert shop.put(absent, ANN) == 'error looking up service account shop/none: serviceaccount "none" not found'


def test_what_is_bound_to_the_default_account_of_an_open_namespace_is_for_pods_of_who_has_bound_it(shop: World) -> None:
    shop.put(bound("edit", "shop:default"), ANN)
    assert shop.put(config("c"), asks_as("shop:default", ANN)) == ""
    assert "cannot create" in shop.put(config("d"), asks_as("shop:default", EVE))
    shop.put(binding("view", "eve"), ROOT)
    assert shop.put(config("d"), asks_as("shop:default", EVE)) == ""


def test_the_default_account_is_there_and_comes_into_the_record_with_its_first_change(shop: World) -> None:
    one = ServiceAccount(metadata=meta("default"), automount_service_account_token=False)
    handled = shop.engine.handle(PutObjects(objects=(one,), mode="create"), 10.0, ANN).reply
    assert isinstance(handled, Rejected)
    assert handled.code == "exists"
    handled = shop.engine.handle(PutObjects(objects=(one,), mode="update"), 10.0, ANN).reply
    assert isinstance(handled, ObjectsPut)
    assert shop.creator(one) == "ann"


def test_paths_beside_the_objects_are_given_by_cluster_roles(shop: World) -> None:
    rule = PolicyRule(verbs=("get",), non_resource_urls=("/metrics", "/debug/*"))
    shop.put(ClusterRole(metadata=ObjectMeta(name="scrapes"), rules=(rule,)), ROOT)
    subject = Subject(kind="ServiceAccount", name="prometheus", namespace="shop")
    ref = RoleRef(kind="ClusterRole", name="scrapes")
    shop.put(ClusterRoleBinding(metadata=ObjectMeta(name="b"), role_ref=ref, subjects=(subject,)), ROOT)
    view = shop.engine.state.objects
    who = Who(1000, "system:serviceaccount:shop:prometheus", is_account=True)
    assert allows_path(view, who, "get", "/metrics")
    assert allows_path(view, who, "get", "/debug/pprof")
    assert not allows_path(view, who, "post", "/metrics")
    assert not allows_path(view, who, "get", "/healthz")
    assert not allows_path(view, Who(1001, "bob"), "get", "/metrics")
